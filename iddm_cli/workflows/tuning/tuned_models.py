"""The tuned tables of a model, where its images are sampled with one."""

from typing import TYPE_CHECKING

from iddm_cli.errors import IddmError
from iddm_cli.profiles.choices import SAMPLERS
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables, list_facts

if TYPE_CHECKING:
    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.models import ModelSource


def select_tables(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource | None" = None,
    guide_with: str = "",
) -> TunedTables:
    """Return the tuned tables of a model if its profile samples with one, else none.

    Args:
        model: The model.
        profile: Its profile, with the sampling section to use.
        source: Its weights. A warning says what the table was tuned for instead of them, and of
            the guidance of the profile; None: there is no warning.
        guide_with: The weaker model of autoguidance; "" where there is none.

    Raises:
        IddmError: There is no such table, or the tables are damaged.
    """
    if not SAMPLERS[profile.sampling.sampler].needs_tables:
        return NO_TABLES
    tables = model.read_tuned_tables()
    table = tables.find(profile.sampling.steps)
    if source is not None:
        facts = list_facts(profile.sampling, source.step, guide_with)
        if differences := table.list_differences(facts):
            from iddm_cli.display import console  # reads the terminal, which main prepares

            again = f"; to tune it again: {tables.command}" * bool(tables.command)
            console.print_warning(
                f"the sampler of {table.calls} calls was tuned with {', '.join(differences)}{again}"
            )
    return tables


def read_optional_tables(
    model: "ModelSource", profile: "ResolvedProfile", consequence: str
) -> TunedTables:
    """Return the tuned tables of a model; none, with a warning, where they are damaged.

    Args:
        model: The model.
        profile: Its profile, with the sampling section to use.
        consequence: What damaged tables mean, a clause for the warning; "" where nothing uses them.

    Raises:
        IddmError: The tables are damaged, and the profile samples with them.
    """
    try:
        return model.read_tuned_tables()
    except IddmError as error:
        if SAMPLERS[profile.sampling.sampler].needs_tables:
            raise
        if consequence:
            from iddm_cli.display import console  # reads the terminal, which main prepares

            console.print_warning(f"{error.problem}; {consequence}. {error.hint}".strip())
        return NO_TABLES


def list_table_facts(model: "ModelSource", profile: "ResolvedProfile") -> list[object]:
    """Return the table of a tuned sampler, which may be tuned again; nothing for others."""
    if not (tables := select_tables(model, profile)):
        return []
    table = tables.find(profile.sampling.steps)
    return [[table.times, table.columns, table.coefficients]]
