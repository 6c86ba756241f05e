"""How a network enlarges images: to which size, and what it reads of the smaller ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.data.loader.low_resolution import add_noise, build_condition
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch
from iddm_cli.engine.sampling.sample_noise import NoisePath, sample_noise

PURPOSE = "upscale-low-resolution"
"""Of the noise of the smaller image."""


@dataclass(frozen=True)
class Enlargement:
    """How much larger a network makes images, of which sizes.

    Attributes:
        factor: How many times larger they become.
        divisor: Number of pixels that must divide the sides of the upscaled image; smaller images
            are padded to it by repeating their edges, and the result is cropped.
    """

    factor: int
    divisor: int = 1

    def find_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of the result for a smaller image's height and width."""
        return size[0] * self.factor, size[1] * self.factor

    def find_padded_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that the network computes for a smaller image's."""
        return self.find_size((size[0] + -size[0] % self._step, size[1] + -size[1] % self._step))

    def build_condition(
        self,
        low: Tensor,
        items: Sequence[int | NoisePath],
        *,
        seed: int,
        noise_level: float,
        device: torch.device,
    ) -> Tensor:
        """Return the condition channels of images of one size, [B, C + 1, H, W], padded.

        Args:
            low: Smaller images in [-1, 1], [B, C, h, w].
            items: What decides the noise of each, see `sample_noise`.
            seed: Random seed.
            noise_level: Level of the noise that they get first, from 0 to 1.
            device: Where to compute.
        """
        down, right = (-side % self._step for side in low.shape[2:])
        low = functional.pad(low.to(device), (0, right, 0, down), mode="replicate")
        shape = tuple(low.shape[1:])
        noise = sample_noise(seed, PURPOSE, items=items, step=0, shape=shape, device=device)
        level = torch.full((len(low),), noise_level, device=device)
        return build_condition(add_noise(low, level, noise), level, self.factor)

    @property
    def _step(self) -> int:
        """Number of pixels that must divide the sides of a smaller image."""
        return next(n for n in range(1, self.divisor + 1) if n * self.factor % self.divisor == 0)


@dataclass(frozen=True, eq=False)
class LowResolutionSource:
    """A smaller image as what decides the condition channels of its upscaled one.

    Attributes:
        low: The smaller image in [-1, 1], [C, h, w].
        enlargement: How much larger it becomes.
        noise_level: Level of the noise that it gets first, from 0 to 1.
    """

    low: Tensor
    enlargement: Enlargement
    noise_level: float
    purpose: ClassVar[str] = LowResolutionBatch.purpose

    def build_condition(
        self,
        items: Sequence[int | NoisePath],
        seed: int,
        size: tuple[int, int],  # noqa: ARG002 - which the smaller image decides
        device: torch.device,
    ) -> Tensor:
        """Return the condition channels of upscaled images of it, see `ConditionSource`."""
        low = self.low.expand(len(items), *self.low.shape)
        return self.enlargement.build_condition(
            low, items, seed=seed, noise_level=self.noise_level, device=device
        )
