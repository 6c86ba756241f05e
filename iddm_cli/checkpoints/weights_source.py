"""The contract of weights on the disk: a checkpoint, or an exported file."""

from typing import Protocol

from iddm_cli.checkpoints.tensors import Tensors


class WeightsSource(Protocol):
    """Weights on the disk."""

    @property
    def step(self) -> int:
        """Number of updates made when they were saved."""
        ...

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read the part `model` or `average`, which must match the tensors in `like`."""
        ...

    def digest(self, part: str) -> str:
        """Return the SHA-256 of the file of a part, in hexadecimal digits."""
        ...
