"""Low-resolution images of one batch, which a network that upscales is conditioned on."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule


@dataclass(frozen=True, eq=False)
class LowResolutionBatch:
    """The condition channels of a batch.

    Attributes:
        condition: See `build_condition`, [B, N, H, W], on the denoiser's device.
    """

    condition: Tensor
    purpose: ClassVar[str] = "upscale"
    """Of the noise: other than that of a generated image with the same noise index."""

    def begin(self, noise: Tensor, _schedule: NoiseSchedule, _time: int) -> Tensor:
        """Return x_t where sampling starts: the noise."""
        return noise

    def keep(self, denoise: Denoise) -> Denoise:
        """Return a denoiser of x_t alone, whose network also reads the condition channels."""

        def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
            return denoise(torch.cat([x_t, self.condition], dim=1), t, label)

        return estimate

    def paste(self, pixels: Tensor) -> Tensor:
        """Return generated pixels as they are."""
        return pixels


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
