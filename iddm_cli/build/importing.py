"""Read models of other programs, and build the checkpoint of an imported run."""

from collections.abc import Iterator
from pathlib import Path

from iddm_cli.build.networks import check_size
from iddm_cli.build.transferring.initial_weights import iter_initial_checkpoint
from iddm_cli.importing.imported_model import ImportedModel
from iddm_cli.importing.options import ImportOptions
from iddm_cli.importing.readers import read_model


def import_model(source: Path, options: ImportOptions) -> ImportedModel:
    """Read a model of another program, or an export of our own.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: An option is missing, or has no effect.
    """
    return read_model(source, options, check_size)


def iter_checkpoint_files(model: ImportedModel) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the checkpoint of step 0, by their paths inside it."""
    return iter_initial_checkpoint(model.raw, model.average)
