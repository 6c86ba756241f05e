"""Tables: names and values, rows under titles, and the cache."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from iddm_cli.display.console import escape_control


def format_amount(count: float, units: Sequence[str] = ("bytes", "kB", "MB", "GB", "TB")) -> str:
    """Return an amount with three significant digits: 1.23 GB."""
    for unit in units[:-1]:
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {units[-1]}"


def key_value_table(rows: Iterable[tuple[str, str]]) -> Table:
    """Return names and values in two columns without a frame."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(escape_control(value)))
    return table


def column_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return rows in titled columns without a frame."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape_control(cell)) for cell in row))
    return table


def cache_table(rows: Iterable[dict[str, Any]]) -> Table:
    """Return the content of the cache (`iddm cache`)."""
    titles = ("key", "kind", "dataset", "images", "size", "bytes", "last used")
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
                _format_age(round(row["days"])),
            )
            for row in rows
        ],
    )


def _format_age(days: int) -> str:
    if days < 1:
        return "today"
    return "a day ago" if days == 1 else f"{days} days ago"
