"""Windows: a denoiser of large images from one of small ones, over the one contract.

MultiDiffusion (Bar-Tal et al. 2023, arXiv:2302.08113, eq. 5): the network computes overlapping
windows of x_t, and where several cover a pixel, its estimate is their weighted mean. That is the
least-squares agreement of all windows, at every call of the network, so that no seam is left in the
end. The mean is taken of estimates of x, which samplers are linear in; so any sampler, guidance or
table computes with it as with any other denoiser.

The windows of one image are computed by themselves, in blocks of a fixed size: an image does not
depend on the others in its batch, and memory does not grow with the size of an image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise


@dataclass(frozen=True)
class WindowSettings:
    """The windows that an image is computed in.

    Attributes:
        size: Height and width of a window.
        overlap: Share of its side that a window has in common with the next one, at least, in
            [0, 1).
    """

    size: tuple[int, int]
    overlap: float


class WindowedDenoiser:
    """A denoiser of images that are larger than its network computes at once.

    Args:
        denoise: The denoiser of one window.
        settings: The windows.
        block: Windows that are computed at once.
    """

    def __init__(self, denoise: Denoise, settings: WindowSettings, block: int = 16) -> None:
        self.denoise = denoise
        self.settings = settings
        self.block = block

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t, [B, C, H, W], at times t, [B], given labels, [B]."""
        height, width = self.settings.size
        corners = place_windows((x_t.shape[2], x_t.shape[3]), self.settings)
        windows = torch.stack(
            [x_t[:, :, top : top + height, left : left + width] for top, left in corners], dim=1
        )
        estimates = torch.stack(
            [self._denoise_image(*image) for image in zip(windows, t, label, strict=True)], dim=1
        )
        weight = weigh_window(self.settings).to(x_t.device)
        # Of condition channels, which follow those of the image, there is no estimate.
        total = x_t.new_zeros(len(x_t), estimates.shape[2], *x_t.shape[2:])
        weights = x_t.new_zeros(x_t.shape[2:])
        for (top, left), estimate in zip(corners, estimates, strict=True):
            place = (..., slice(top, top + height), slice(left, left + width))
            total[place] += weight * estimate
            weights[place] += weight
        return total / weights

    def _denoise_image(self, windows: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the estimates of the windows of one image, [windows, C, h, w]."""
        blocks = windows.split(self.block)
        estimates = [
            self.denoise(block, t.expand(len(block)), label.expand(len(block))) for block in blocks
        ]
        return torch.cat(estimates)


def place_windows(size: tuple[int, int], settings: WindowSettings) -> list[tuple[int, int]]:
    """Return top and left of each window of an image, row by row.

    As few windows as the overlap allows are spread evenly, from one border to the other.

    Args:
        size: Height and width of the image, at least those of a window.
        settings: The windows.
    """
    down, across = (
        _spread(side, length, settings.overlap)
        for side, length in zip(size, settings.size, strict=True)
    )
    return [(top, left) for top in down for left in across]


def _spread(side: int, length: int, overlap: float) -> list[int]:
    """Return where windows begin on a side."""
    rest, stride = side - length, max(1, math.floor(length * (1 - overlap)))
    gaps = math.ceil(rest / stride)
    return [round(i * rest / gaps) for i in range(gaps + 1)] if gaps else [0]


def weigh_window(settings: WindowSettings) -> Tensor:
    """Return how much each pixel of a window counts, float32 [h, w], in (0, 1].

    It rises as sin^2 over the part that neighbours share, so that the weights of two windows that
    share exactly that part add up to 1.
    """
    down, across = (_weigh_side(length, settings.overlap) for length in settings.size)
    return down[:, None] * across[None, :]


def _weigh_side(length: int, overlap: float) -> Tensor:
    shared = min(length // 2, round(length * overlap))
    weight = torch.ones(length, dtype=torch.float64)
    if shared:
        ramp = (torch.arange(shared, dtype=torch.float64) + 0.5) * (math.pi / (2 * shared))
        weight[:shared] = ramp.sin().square()
        weight[length - shared :] = weight[:shared].flip(0)
    return weight.float()
