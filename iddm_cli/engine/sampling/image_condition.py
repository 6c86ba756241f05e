"""What is known of the images of a batch before they are generated: nothing, or what a class adds.

`ImageGenerator` asks it where sampling starts, what the denoiser of each step becomes, and what of
the generated pixels is replaced in the end.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.engine.sampling.sample_noise import PURPOSE, NoisePath


class ConditionSource(Protocol):
    """What decides the condition channels of images: their places, or a smaller image."""

    purpose: ClassVar[str]
    """Of the noise of such images."""

    def build_condition(
        self,
        items: Sequence[int | NoisePath],
        seed: int,
        size: tuple[int, int],
        device: torch.device,
    ) -> Tensor:
        """Return the condition channels of images, [B, N, H, W].

        Args:
            items: What decides the noise of each, see `sample_noise`.
            seed: Random seed.
            size: Height and width of the images.
            device: Where to compute.
        """
        ...


class ImageCondition:
    """A batch of which nothing is known."""

    purpose: ClassVar[str] = PURPOSE
    """Of the noise."""

    def find_result(self) -> Tensor | None:
        """Return the images, [B, H, W, C], where nothing is left to generate; None elsewhere."""
        return None

    def begin(self, noise: Tensor, schedule: NoiseSchedule, time: int) -> Tensor:  # noqa: ARG002
        """Return x_t where sampling starts, [B, C, H, W].

        Args:
            noise: Standard normal noise, [B, C, H, W].
            schedule: The noise schedule.
            time: The time of the first step, an index into the schedule.
        """
        return noise

    def keep(self, denoise: Denoise) -> Denoise:
        """Return the denoiser of x_t alone that regards what is known."""
        return denoise

    def paste(self, pixels: Tensor) -> Tensor:
        """Return generated pixels, [B, H, W, C], with the exact ones where they are known."""
        return pixels
