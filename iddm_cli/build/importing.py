"""Runs made of models that other programs trained."""

from collections.abc import Iterator
from pathlib import Path

from iddm_cli.build.networks import check_size
from iddm_cli.checkpoints.folder import checkpoint_files
from iddm_cli.engine.optimizers import initial_optimizer_state
from iddm_cli.importing.imported_model import ImportedModel, ImportOptions
from iddm_cli.importing.readers import read


def import_model(source: Path, asked: ImportOptions) -> ImportedModel:
    """Read a model of another program, or an export of our own.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: It does not say something that must be given.
    """
    return read(source, asked, check_size)


def imported_files(model: ImportedModel) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an imported run's first checkpoint, by their paths inside it."""
    parts = {
        "model": model.raw,
        "average": model.average,
        "optimizer": initial_optimizer_state(model.raw, model.profile.training),
    }
    state: dict[str, object] = {"bits": {}, "scaler": {}, "course": {}, "metrics": {}}
    return checkpoint_files(0, parts, state)
