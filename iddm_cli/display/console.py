"""The console: results go to stdout; progress, warnings and hints to stderr."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from iddm_cli import notices
from iddm_cli.storage.features import missing

if TYPE_CHECKING:
    from iddm_cli.profiles.training_length import LengthAdvice

# No markup: file and class names may contain brackets and are shown verbatim.
out = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
err = Console(stderr=True, markup=False, highlight=False, emoji=False)


def silence() -> None:
    """Suppress all further output, in every process but the main one."""
    out.quiet = err.quiet = True


def escape_control(text: str) -> str:
    """Escape control and format characters, which could move the cursor or reorder a line."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def print_result(text: str) -> None:
    """Print a result on stdout."""
    out.print(escape_control(text))


def print_json(content: object) -> None:
    """Print one JSON document on stdout, the whole output of a command with --json."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def print_note(text: str, style: str = "") -> None:
    """Print a remark on stderr."""
    err.print(escape_control(text), style=style, soft_wrap=True)


def show_notices() -> None:
    """Print the notices of other modules as warnings; see `iddm_cli/notices.py`."""
    notices.listen(print_warning)


def report_missing_features() -> None:
    """Print a warning for each feature that a file system turns out to lack."""
    missing.listen(print_warning)


def print_advice(advice: "Iterable[LengthAdvice]") -> None:
    """Print advice on a training: warnings as such, hints as notes."""
    for item in advice:
        (print_warning if item.is_warning else print_note)(item.text)


def print_warning(text: str) -> None:
    """Print a warning on stderr."""
    line = Text.assemble(("warning: ", "bold yellow"), escape_control(text))
    err.print(line, soft_wrap=True)
