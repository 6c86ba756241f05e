"""A tuned sampler that no run was needed for: DPM-Solver++ at uneven times, bent a little."""

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.diffusion.solvers.tuned import list_columns
from iddm_cli.diffusion.tuning.fine_sampler import fix_times
from iddm_cli.records.tuned_tables import TunedTable, TunedTables

COMMAND = "iddm tune-sampler pets"


def make_solver_table(calls: int = 5) -> SolverTable:
    schedule = build_schedule("linear", 1000)
    times = [999 - round(999 * (k / calls) ** 0.8) for k in range(calls)]
    coefficients = dpmpp_2m(schedule, fix_times(schedule, times), calls).coefficients.clone()
    coefficients[1:, 2] += 0.02
    coefficients[2:, 3] -= 0.01
    coefficients[3:, 4] += 0.015
    return SolverTable(times, coefficients)


def make_tuned(calls: int = 5, **changes: object) -> TunedTable:
    entry = {
        **list_columns(make_solver_table(calls)), "calls": calls, "step": 500,
        "weights": "average", "guidance": 2.0, "error": 0.05, "untuned_error": 0.2,
        "untuned": "dpmpp-2m",
    }  # fmt: skip
    return TunedTable.model_validate(entry | changes)


def make_tables(*calls: int, command: str = COMMAND) -> TunedTables:
    return TunedTables(command=command).replace(make_tuned(each) for each in calls)
