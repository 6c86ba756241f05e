"""Images that sampling starts from, and what of them is kept: variations and inpainting.

SDEdit (Meng et al. 2022, arXiv:2108.01073, section 3): noise is added to an image, up to a level,
and the sampler continues from there.

Inpainting: the estimate of x is replaced by x itself where x is known, in every call of the
network, and x_t starts there as alpha * x + sigma * noise. Every step of a sampler is a linear map
of x_t, the estimates and new noise that leads from one noise level to the next, so x_t keeps the
right level there by itself: deterministic samplers stay on alpha * x + sigma * noise, with the
noise that they started from. Others replace x_t in every step instead (Lugmayr et al. 2022,
arXiv:2201.09865, eq. 8), which is the same for the first step, and draws new noise in each later
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.engine.sampling.image_condition import ImageCondition


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Images that sampling starts from.

    Attributes:
        levels: The images, uint8 or uint16 [N, C, H, W], on the CPU.
        strength: How much of each is made anew: the share of the schedule's times that are
            sampled, from 0 (the image itself) to 1 (pure noise).
        generated: Which pixels are generated, bool [N, 1, H, W]; the others are kept. None: all.
    """

    levels: Tensor
    strength: float
    generated: Tensor | None = None

    def highest_time(self, schedule: NoiseSchedule) -> int:
        """Return the time that sampling starts from, an index into the schedule."""
        return max(0, round(self.strength * len(schedule)) - 1)

    def count_calls(self, calls: int) -> int:
        """Return the number of network calls, of those that start from pure noise."""
        return max(1, round(self.strength * calls))

    def select(self, rows: Sequence[int], device: torch.device) -> "KnownBatch":
        """Return the images of one batch."""
        index = torch.tensor(rows)
        levels = torch.stack([self.levels[i] for i in rows])  # uint16 cannot be indexed by tensors
        mask = None if self.generated is None else self.generated[index].to(device)
        return KnownBatch(levels, normalize(levels).to(device), self.strength, mask)


@dataclass(frozen=True, eq=False)
class KnownBatch(ImageCondition):
    """The known images of a batch.

    Attributes:
        levels: The images, uint8 or uint16 [B, C, H, W], on the CPU.
        x: The same in [-1, 1], float32, on the denoiser's device.
        strength: See `KnownImages`.
        generated: Which pixels are generated, bool [B, 1, H, W], on the denoiser's device.
    """

    levels: Tensor
    x: Tensor
    strength: float
    generated: Tensor | None

    def find_result(self) -> Tensor | None:
        """Return the known images where nothing of them is made anew, [B, H, W, C]."""
        return self.pixels() if self.strength == 0 else None

    def begin(self, noise: Tensor, schedule: NoiseSchedule, time: int) -> Tensor:
        """Return x_t where sampling starts, [B, C, H, W].

        With strength 1 it is pure noise, as without an image, except where pixels are kept.

        Args:
            noise: Standard normal noise, [B, C, H, W].
            schedule: The noise schedule.
            time: The time of the first step, an index into the schedule.
        """
        alpha, sigma = schedule.at(torch.tensor([time], device=noise.device))
        noisy = alpha * self.x + sigma * noise
        if self.strength < 1:
            return noisy
        return noise if self.generated is None else torch.where(self.generated, noise, noisy)

    def keep(self, denoise: Denoise) -> Denoise:
        """Return a denoiser whose estimates are x itself where pixels are kept."""
        generated = self.generated
        if generated is None:
            return denoise

        def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
            return torch.where(generated, denoise(x_t, t, label), self.x)

        return estimate

    def pixels(self) -> Tensor:
        """Return the images as generated ones are returned, [B, H, W, C], see `to_pixels`."""
        levels = self.levels if self.levels.dtype == torch.uint8 else self.levels.to(torch.int32)
        return levels.permute(0, 2, 3, 1).contiguous()

    def paste(self, pixels: Tensor) -> Tensor:
        """Return generated pixels, [B, H, W, C], with the exact ones where they are kept."""
        if self.generated is None:
            return pixels
        known = self.pixels().to(pixels.device)
        return torch.where(self.generated.permute(0, 2, 3, 1), pixels, known)
