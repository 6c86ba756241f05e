"""The table of `iddm doctor`: what each check found, and what to do."""

from typing import Any

from rich.table import Table
from rich.text import Text

from iddm_cli.display import console
from iddm_cli.display.console import escape_control

STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def print_findings(rows: list[dict[str, Any]]) -> None:
    """Print what the checks found, and how many failed."""
    console.out.print(findings_table(rows))
    counts = {status: sum(row["status"] == status for row in rows) for status in STYLES}
    if counts["failed"] or counts["warning"]:
        console.print_note(f"{counts['failed']} failed, {counts['warning']} warnings")
    else:
        console.print_note("all is well")


def findings_table(rows: list[dict[str, Any]]) -> Table:
    """Return a line for each check, and one for what to do about it."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        status = Text(row["status"], style=STYLES[row["status"]])
        table.add_row(status, row["check"], Text(escape_control(row["text"])))
        if row["advice"]:
            table.add_row("", "", Text(escape_control(row["advice"]), style="dim"))
    return table
