"""The console: results go to stdout; progress, warnings and hints to stderr."""

import json
import logging
import sys

from rich.console import Console
from rich.text import Text

from iddm_cli import notices

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


class NoticePrinter(logging.Handler):
    """Prints the notices of other modules as warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one notice."""
        print_warning(record.getMessage())


def show_notices() -> None:
    """Print the notices that come from now on, each once; see `iddm_cli/notices.py`."""
    notices.logger.handlers = [NoticePrinter()]
    notices.logger.propagate = False


def print_warning(text: str) -> None:
    """Print a warning on stderr."""
    line = Text.assemble(("warning: ", "bold yellow"), escape_control(text))
    err.print(line, soft_wrap=True)
