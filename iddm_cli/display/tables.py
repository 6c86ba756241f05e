"""Tables: what a training would be, what a dataset holds, which profiles and runs there are."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from iddm_cli.display.console import printable


def amount(count: float, units: Sequence[str] = ("bytes", "kB", "MB", "GB", "TB")) -> str:
    """Write an amount with three figures: 1.23 GB."""
    for unit in units[:-1]:
        if abs(count) < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {units[-1]}"


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out names and values in two columns without a frame."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(printable(value)))
    return table


def listing(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Lay out rows under titles."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def plan(figures: dict[str, Any]) -> Table:
    """Lay out what a training would be like (`iddm train --dry-run`)."""
    height, width = figures["image_size"]
    size = f"{height} x {width} {'grey' if figures['channels'] == 1 else 'colour'}"
    rows = [
        ("data", f"{figures['data']}: {figures['pictures']} pictures, {size}"),
        ("left out", f"{figures['skipped']} files"),
        ("classes", ", ".join(figures["classes"]) or "none"),
        ("parameters", amount(figures["parameters"], ("", "k", "M", "G"))),
        ("steps", f"{figures['steps']} ({figures['epochs']:.1f} epochs)"),
        ("device", f"{figures['device']}, {figures['precision']}"),
        ("memory", f"about {amount(figures['memory_bytes'])} while training"),
        ("disk", f"{amount(figures['checkpoint_bytes'])} for each checkpoint"),
    ]
    return facts(rows)
