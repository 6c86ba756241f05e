"""The choice of a solver table: that of the sampler that sampling settings name."""

from iddm_cli.diffusion.lookup import build_time_grid, find_solver
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.engine.sampling.known_images import KnownImages
from iddm_cli.profiles.choices import SAMPLERS, usual_steps
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables


def build_solver_table(
    settings: SamplingSettings,
    schedule: NoiseSchedule,
    highest: int | None = None,
    *,
    tables: TunedTables = NO_TABLES,
) -> SolverTable:
    """Return the table of the sampler that the settings name, with its time grid and options.

    Args:
        settings: The settings.
        schedule: The noise schedule.
        highest: The time that the first step starts from; None: the last entry of the schedule. A
            table has at most one row for each time below.
        tables: The tables that were tuned for the network.

    Raises:
        UsageError: A tuned sampler has no table of so many calls.
    """
    grid = build_time_grid(settings.grid, schedule, highest)
    calls = settings.steps or usual_steps(settings.sampler, len(schedule))
    calls = min(calls, grid.highest + 1)
    options: dict[str, object] = dict(settings.sampler_options)
    if SAMPLERS[settings.sampler].needs_tables:
        options["tables"] = tables
        calls = tables.resolve_calls(settings.steps) if highest is None else calls
    return find_solver(settings.sampler)(schedule, grid, calls, **options)


def build_partial_table(
    settings: SamplingSettings,
    schedule: NoiseSchedule,
    known: KnownImages | None,
    tables: TunedTables = NO_TABLES,
) -> SolverTable:
    """Return the table of a sampler that starts from images; None or strength 1: from noise.

    It has the same share of the calls as of the times (as image-to-image pipelines of diffusers).
    """
    if known is None or known.strength in (0, 1):
        return build_solver_table(settings, schedule, tables=tables)
    calls = known.count_calls(settings.steps or usual_steps(settings.sampler, len(schedule)))
    fewer = settings.model_copy(update={"steps": calls})
    return build_solver_table(fewer, schedule, known.highest_time(schedule), tables=tables)
