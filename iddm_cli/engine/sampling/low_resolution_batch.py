"""Low-resolution images of one batch, which a network that upscales is conditioned on."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise, condition_on
from iddm_cli.engine.sampling.image_condition import ImageCondition


@dataclass(frozen=True, eq=False)
class LowResolutionBatch(ImageCondition):
    """The condition channels of a batch.

    Attributes:
        condition: See `build_condition`, [B, N, H, W], on the denoiser's device.
    """

    condition: Tensor
    purpose: ClassVar[str] = "upscale"
    """Of the noise: other than that of a generated image with the same noise index."""

    def keep(self, denoise: Denoise) -> Denoise:
        """Return a denoiser of x_t alone, whose network also reads the condition channels."""
        return condition_on(denoise, self.condition)


def make_blank_batch(
    count: int, channels: int, size: tuple[int, int], device: torch.device
) -> LowResolutionBatch:
    """Return grey images without noise, for measurements of time and precision.

    Args:
        count: Number of images.
        channels: Number of condition channels.
        size: Height and width of the images.
        device: Where to compute.
    """
    return LowResolutionBatch(torch.zeros(count, channels, *size, device=device))
