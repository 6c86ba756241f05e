"""The weights of an exported file, read like those of a checkpoint."""

from safetensors import SafetensorError
from safetensors.torch import load_file

from iddm_cli.checkpoints.tensors import (
    Tensors,
    check_compatible,
    find_non_finite,
    read_specs,
    specs_of,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.runs.exported_file import ExportedFile

KINDS = {"average": "average", "model": "raw"}
"""Parts of a checkpoint, and what the profile calls them."""


class ExportedWeights:
    """The weights of an exported file, in the place of a checkpoint.

    Args:
        exported: The file.
    """

    def __init__(self, exported: ExportedFile) -> None:
        self.exported = exported
        self.step = exported.record.step

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read the weights, checking their digest.

        Args:
            part: model or average.
            like: What they must fit, by names, shapes and types; before any is read.

        Raises:
            UsageError: The file holds the others.
            CheckpointError: They are not what was written, do not fit, or are not finite.
        """
        path, there = self.exported.path, self.exported.record.weights
        if KINDS[part] != there:
            raise UsageError(f"{path} holds the {there} weights only", f"Use --weights {there}.")
        try:
            if like is not None:
                check_compatible(specs_of(like), read_specs(path), str(path))
            self.exported.verify()
            tensors = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path}: {truncate(error)}") from error
        name = find_non_finite(tensors)
        if name is not None:
            raise CheckpointError(f"{path}: {truncate(name)} holds numbers that are not finite")
        return tensors
