"""What the server knows of a model that upscales: how much, how images are read, and which."""

from dataclasses import dataclass

from iddm_cli.data.decoding.own_size import OwnSizeSpec
from iddm_cli.engine.sampling.enlargement import Enlargement


@dataclass(frozen=True)
class UpscalerTraits:
    """What is special about a model that upscales.

    Attributes:
        enlargement: How much larger images become.
        highest_noise: The highest level of noise that it was trained with, from 0 to 1.
        needs_class: Whether it was trained with classes alone, so that a request must name one.
        decoding: How images are decoded.
    """

    enlargement: Enlargement
    highest_noise: float
    needs_class: bool
    decoding: OwnSizeSpec

    @property
    def factor(self) -> int:
        """How many times larger images become."""
        return self.enlargement.factor
