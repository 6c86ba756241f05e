"""Tables: what a training would be, what a dataset holds, which profiles and runs there are."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from iddm_cli.display.console import escape_control


def format_amount(count: float, units: Sequence[str] = ("bytes", "kB", "MB", "GB", "TB")) -> str:
    """Write an amount with three figures: 1.23 GB."""
    for unit in units[:-1]:
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {units[-1]}"


def key_value_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out names and values in two columns without a frame."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(escape_control(value)))
    return table


def column_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Lay out rows under titles."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_control(cell)) for cell in row))
    return table


def cache_table(rows: Iterable[dict[str, Any]]) -> Table:
    """Lay out what is in the cache (`iddm cache`)."""
    titles = ("key", "what", "dataset", "pictures", "size", "bytes", "last used")
    return column_table(
        titles,
        [
            (
                row["key"],
                row["kind"],
                row["dataset"],
                "" if row["pictures"] is None else f"{row['pictures']:,}",
                row["size"] or "",
                format_amount(row["bytes"]),
                _ago(round(row["days"])),
            )
            for row in rows
        ],
    )


def _ago(days: int) -> str:
    if days < 1:
        return "today"
    return "a day ago" if days == 1 else f"{days} days ago"


def plan_table(figures: dict[str, Any], brief: Iterable[tuple[str, str]]) -> Table:
    """Lay out what a training would be like (`iddm train --dry-run`).

    Args:
        figures: The plan.
        brief: The lines about the dataset.
    """
    rows = [
        ("data", figures["data"]),
        *brief,
        ("parameters", format_amount(figures["parameters"], ("", "k", "M", "G"))),
        ("steps", f"{figures['steps']} ({figures['epochs']:.1f} epochs)"),
        ("device", f"{figures['device']}, {figures['precision']}"),
        ("memory", f"about {format_amount(figures['memory_bytes'])} while training"),
        ("disk", f"{format_amount(figures['checkpoint_bytes'])} for each checkpoint"),
    ]
    return key_value_table(rows)
