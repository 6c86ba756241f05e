"""The table of `iddm bench`: images per second, and the settings to use."""

from typing import Any

from rich.table import Table

from iddm_cli.display import console
from iddm_cli.display.tables import column_table, format_amount


def print_bench(result: dict[str, Any]) -> None:
    """Print the result of a benchmark."""
    height, width = result["image_size"]
    console.print_note(
        f"{result['device']}: {format_amount(result['parameters'], ('', 'k', 'M', 'G'))} "
        f"parameters, {width} x {height} x {result['channels']}, {result['classes']} classes"
    )
    if result["rows"]:
        console.out.print(bench_table(result["rows"]))
    if result["left_out"]:
        sizes = ", ".join(map(str, result["left_out"]))
        console.print_note(f"in part left out, for lack of time: {sizes} images; use --seconds")
    _print_recommended(result)
    if result["interrupted"]:
        console.print_note("interrupted: the figures are of what was timed until then")


def bench_table(rows: list[dict[str, Any]]) -> Table:
    """Return a row for each number of images, and a column for each kind and precision."""
    columns = list(dict.fromkeys((row["kind"], row["precision"]) for row in rows))
    columns.sort(key=lambda column: column[0] != "training")
    cells = {(row["kind"], row["precision"], row["images"]): row for row in rows}
    titles = ["images at once"]
    for kind, precision in columns:
        titles.append(f"{kind} {precision}")
        if kind == "training":
            titles.append("memory")
    table = []
    for images in sorted({row["images"] for row in rows}):
        line = [f"{images:,}"]
        for kind, precision in columns:
            row = cells.get((kind, precision, images))
            line.append(_format_rate(row))
            if kind == "training":
                line.append(format_amount(row["memory_bytes"]) if row else "")
        table.append(line)
    return column_table(titles, table)


def _format_rate(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['images_per_second']:.3g}/s"


def _print_recommended(result: dict[str, Any]) -> None:
    if not result["rows"]:
        return
    if not result["recommended"]:
        console.print_note("no setting was clearly faster than the profile's own")
        return
    console.print_result(result["options"])
    for one in result["recommended"]:
        console.print_note(
            f"{one['setting']}: {one['gain']:.2g} times as fast; changes {one['changes']}"
        )
