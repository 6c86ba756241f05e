"""The tuned sampler: a table that `iddm tune-sampler` fitted to a network."""

import torch

from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import MAX_HISTORY, SolverTable
from iddm_cli.diffusion.time_grids import TimeGrid
from iddm_cli.errors import UsageError
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTable, TunedTables


def find_tuned(
    schedule: NoiseSchedule, grid: TimeGrid, calls: int, *, tables: TunedTables = NO_TABLES
) -> SolverTable:
    """Return the table that was tuned for so many calls; its time grid is its own.

    Raises:
        UsageError: There is none, it belongs to another noise schedule, or it is to start in the
            middle of the schedule.
    """
    if grid.highest != len(schedule) - 1:
        raise UsageError(
            "a tuned sampler starts from pure noise, not from an image",
            "Choose another one, such as --sampler dpmpp-2m.",
        )
    table = tables.find(calls)
    if table.times[0] != grid.highest:
        raise UsageError(
            f"the tuned sampler of {table.calls} calls starts at time {table.times[0]}, and the "
            f"noise schedule at {grid.highest}",
            f"Tune it again: {tables.command}" if tables.command else "Use another sampler.",
        )
    return to_solver_table(table)


def to_solver_table(table: TunedTable) -> SolverTable:
    """Return a tuned table as one that samples."""
    rows = torch.tensor(table.coefficients, dtype=torch.float64)
    columns: dict[str, torch.Tensor] = {name: rows[:, j] for j, name in enumerate(table.columns)}
    zero = torch.zeros(len(rows), dtype=torch.float64)
    return SolverTable.from_columns(
        table.times,
        c_x=columns.get("c_x", zero),
        c_denoised=columns.get("c_denoised", zero),
        c_prev=[columns.get(f"c_prev{j + 1}", zero) for j in range(MAX_HISTORY)],
    )


def list_columns(table: SolverTable) -> dict[str, list[object]]:
    """Return times, names of columns and coefficients of a table as a tuned table has them.

    Args:
        table: A deterministic table that keeps its estimates.
    """
    assert table.keeps is None
    assert not table.noisy_steps
    names, rows = table.compact()
    return {
        "times": list(table.times),
        "columns": list(names[:-1]),
        "coefficients": rows[:, :-1].tolist(),
    }
