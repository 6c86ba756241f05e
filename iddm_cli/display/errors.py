"""Errors as the user sees them: the problem and a hint, or a JSON document with --json."""

from rich.text import Text

from iddm_cli.display import console
from iddm_cli.errors import IddmError


def show_error(error: IddmError, *, as_json: bool) -> None:
    """Show an error on stderr, or as the one JSON document on stdout."""
    if as_json:
        content = {"code": error.exit_code, "message": error.problem, "hint": error.hint}
        console.print_json({"error": content})
        return
    console.err.quiet = False  # a silenced process still reports its own error
    line = Text.assemble(("error: ", "bold red"), console.escape_control(error.problem))
    console.err.print(line, soft_wrap=True)
    if error.hint:
        console.print_note(f"  {error.hint}", style="dim")
