"""The weights of an exported file, with the interface of a checkpoint."""

import hashlib

from safetensors import SafetensorError

from iddm_cli.checkpoints.tensors import (
    Tensors,
    TensorSpecs,
    check_compatible,
    find_non_finite,
    load_tensors,
    read_specs,
    specs_of,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.records.weights_names import weights_of_part
from iddm_cli.runs.exported_file import ExportedFile


class ExportedWeights:
    """The weights of an exported file.

    Args:
        exported: The file.
    """

    def __init__(self, exported: ExportedFile) -> None:
        self.exported = exported
        self.step = exported.record.step

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read the weights and check their digest.

        Args:
            part: model, average, or the name of an average of a chosen length.
            like: Tensors whose names, shapes and types they must have; checked before reading.

        Raises:
            UsageError: The file holds the other weights.
            CheckpointError: They have changed, do not match `like`, or are not finite.
        """
        path, weights = self.exported.path, self.exported.record.weights
        if weights_of_part(part) != weights:
            raise UsageError(
                f"{path} holds the {weights} weights only", f"Use --weights {weights}."
            )
        try:
            if like is not None:
                check_compatible(specs_of(like), self.read_specs(), str(path))
            self.exported.verify()
            tensors = self.exported.select_own(load_tensors(path))
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path}: {truncate(error)}") from error
        name = find_non_finite(tensors)
        if name is not None:
            raise CheckpointError(f"{path}: {truncate(name)} holds numbers that are not finite")
        return tensors

    def read_specs(self) -> TensorSpecs:
        """Return the specs of the model's tensors.

        Raises:
            SafetensorError: The file is not a safetensors file.
            OSError: It cannot be read.
        """
        return self.exported.select_own(read_specs(self.exported.path))

    def digest(self, _part: str) -> str:
        """Return the SHA-256 of the tensors; of the whole file, where it does not record that.

        Raises:
            CheckpointError: The file cannot be read.
        """
        if self.exported.record.sha256:
            return self.exported.record.sha256
        try:
            with self.exported.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{self.exported.path}: {error.strerror}") from error
