"""The console: results on stdout; progress, warnings and hints on stderr."""

import json
import sys

from rich.console import Console
from rich.text import Text

# No markup: file and class names are shown as they are, brackets and all.
out = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
err = Console(stderr=True, markup=False, highlight=False, emoji=False)


def silence() -> None:
    """Say nothing from now on, as one of several processes of which another speaks."""
    out.quiet = err.quiet = True


def escape_control(text: str) -> str:
    """Escape what could move the cursor or reorder a line: control and format characters."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def print_result(text: str) -> None:
    """Print a result."""
    out.print(escape_control(text))


def print_json(content: object) -> None:
    """Print one JSON document, the whole output of a command under --json."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def print_note(text: str, style: str = "") -> None:
    """Tell something by the way."""
    err.print(escape_control(text), style=style, soft_wrap=True)


def print_warning(text: str) -> None:
    """Tell something the user should look at."""
    line = Text.assemble(("warning: ", "bold yellow"), escape_control(text))
    err.print(line, soft_wrap=True)
