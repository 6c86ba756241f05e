"""What `iddm tune-sampler` prints: errors before and after, for each number of calls."""

from collections.abc import Sequence
from pathlib import Path

from iddm_cli.display import console
from iddm_cli.display.tables import column_table
from iddm_cli.tuned_tables import TunedTable


def print_tuning(run: str, path: Path, tables: Sequence[TunedTable], *, as_json: bool) -> None:
    """Print the tuned samplers of a run.

    Args:
        run: Name of the run.
        path: The file that they were written to.
        tables: The samplers.
        as_json: Whether to print JSON.
    """
    if as_json:
        rows = [table.model_dump() for table in tables]
        console.print_json({"run": run, "path": str(path), "tables": rows})
        return
    titles = ("calls", f"error of {tables[0].untuned}", "error tuned", "ratio")
    console.out.print(column_table(titles, [_list_cells(table) for table in tables]))
    console.print_result(str(path))
    console.print_note(
        f"errors: how far images are from those of {tables[0].teacher_calls} calls, where black to "
        "white is 2, for noises that nothing was tuned to"
    )
    if all(table.error < table.untuned_error for table in tables):
        console.print_note(
            f"to use one: iddm generate {run} --sampler tuned --steps {tables[0].calls}"
        )


def _list_cells(table: TunedTable) -> tuple[str, ...]:
    ratio = table.error / table.untuned_error if table.untuned_error else 1.0
    return str(table.calls), f"{table.untuned_error:.4f}", f"{table.error:.4f}", f"{ratio:.2f}"
