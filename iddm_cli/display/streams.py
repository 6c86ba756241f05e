"""The standard streams, where they are closed, full, or nobody reads them any more."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

from iddm_cli.errors import IddmError

TERMINAL_SIZE = re.compile(r"[2-9][0-9]|[1-9][0-9]{2,3}")
"""Widths of a terminal that can be meant: in 0 columns nothing can be read."""


class OutputError(IddmError):
    """Results that cannot be written to stdout."""


class ReaderGone(Exception):  # noqa: N818 (no error: whoever read stdout has seen enough)
    """The program that read stdout has ended, as `head` does."""


class GuardedStream:
    """Passes on what is written until that fails; from then on all of it is lost.

    Args:
        stream: Where it goes.
        lost: Called with the first failure.
    """

    def __init__(self, stream: TextIO, lost: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> int:
        """Write, or lose it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Pass on what is held back, or lose it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._stream = _open_null()
        self._lost(error)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Make stdout tell whoever runs us of results that are lost, and stderr keep that to itself.

    A terminal that is gone must not end a training; a result that nobody gets is a failure.
    """
    _open_closed()
    for name in ("COLUMNS", "LINES"):
        if not TERMINAL_SIZE.fullmatch(os.environ.get(name, "80")):
            del os.environ[name]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A class may be named in letters that the terminal's encoding does not have.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, GuardedStream(sys.stdout or _open_null(), _fail))
    sys.stderr = cast(TextIO, GuardedStream(sys.stderr or _open_null(), lambda _: None))


def _fail(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise ReaderGone from error
    raise OutputError(f"the output cannot be written: {error.strerror}") from error


def _open_closed() -> None:
    """Open what is closed of 0, 1 and 2: the next file would take its number, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _open_null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
