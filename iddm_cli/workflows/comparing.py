"""Comparison of runs: open them, and read their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.runs.run import Run
    from iddm_cli.runs.run_comparison import RunComparison


def compare_runs(folder: Path, references: Sequence[str]) -> "RunComparison":
    """Return what the files of several runs record, beside each other.

    Args:
        folder: The runs directory.
        references: Names or folders of at least two different runs.

    Raises:
        UsageError: There are fewer than two, or one is given twice.
        RunError: A run does not exist.
        ProfileError: The profile of a run is not valid.
    """
    from iddm_cli.profiles.loading import load_profile
    from iddm_cli.runs.registry import open_run
    from iddm_cli.runs.run_comparison import compare_records, read_record

    if len(references) < 2:
        raise UsageError("a comparison needs at least two runs", "List them with: iddm runs")
    runs = [open_run(folder, reference) for reference in references]
    check_different(runs)
    return compare_records(
        [
            read_record(run, label, load_profile(str(run.profile_path), []))
            for run, label in zip(runs, choose_labels(runs), strict=True)
        ]
    )


def check_different(runs: "Sequence[Run]") -> None:
    """Check that no run is given twice.

    Raises:
        UsageError: One is.
    """
    seen = set()
    for run in runs:
        path = run.path.resolve()
        if path in seen:
            raise UsageError(f"run {run.name} is given twice", "Give each run once.")
        seen.add(path)


def choose_labels(runs: "Sequence[Run]") -> list[str]:
    """Return the name of each run, or its path if several have that name."""
    names = [run.name for run in runs]
    return [
        str(run.path) if names.count(name) > 1 else name
        for run, name in zip(runs, names, strict=True)
    ]
