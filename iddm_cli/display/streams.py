"""Standard streams that are closed, on a full disk, or no longer read."""

import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

from iddm_cli.errors import IddmError

TERMINAL_SIZE = re.compile(r"[2-9][0-9]|[1-9][0-9]{2,3}")
"""Plausible values of COLUMNS and LINES; with 0 columns nothing would be readable."""


class OutputError(IddmError):
    """A result cannot be written to stdout."""


class ReaderGone(Exception):  # noqa: N818 (not an error: the reader has seen enough)
    """The program that reads stdout has ended, as `head` does."""


class GuardedStream:
    """Forwards text to a stream until that fails, and discards the text from then on.

    Args:
        stream: The stream to write to.
        on_failure: Called with the first error.
    """

    def __init__(self, stream: TextIO, on_failure: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._on_failure = on_failure

    def write(self, text: str) -> int:
        """Write the text, or discard it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._discard(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or discard its buffer."""
        try:
            self._stream.flush()
        except OSError as error:
            self._discard(error)

    def _discard(self, error: OSError) -> None:
        self._stream = _open_null()
        self._on_failure(error)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Make a write error fail the program on stdout, and go unnoticed on stderr.

    A closed terminal must not end a training, but a result that cannot be delivered is a failure.
    """
    _open_closed()
    for name in ("COLUMNS", "LINES"):
        if not TERMINAL_SIZE.fullmatch(os.environ.get(name, "80")):
            del os.environ[name]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Class names may contain letters that the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast(TextIO, GuardedStream(sys.stdout or _open_null(), _fail))
    sys.stderr = cast(TextIO, GuardedStream(sys.stderr or _open_null(), lambda _: None))


def _fail(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise ReaderGone from error
    raise OutputError(f"the output cannot be written: {error.strerror}") from error


def _open_closed() -> None:
    """Open descriptors 0, 1 and 2 if closed; the next opened file would get that number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _open_null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8", errors="backslashreplace")
