"""Fidelity: how far images are from references of the same content, pixel by pixel."""

import torch
from torch import Tensor
from torch.nn import functional

DATA_RANGE = 2.0
"""Largest difference of two pixels: images are in [-1, 1]."""

WINDOW = 11
"""Side of the Gaussian window of SSIM in pixels, for images that are at least as large."""

SIGMA = 1.5
"""Standard deviation of that window in pixels."""

K1, K2 = 0.01, 0.03
"""Constants of SSIM, as shares of the range of values."""


def compute_psnr(images: Tensor, references: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each image in decibels, float64 [B].

    It is 10 log10(range^2 / mean squared error) over all pixels and channels of one image, and
    infinite where both are equal.

    Args:
        images: Images in [-1, 1], [B, C, H, W].
        references: What each one should be, of the same shape.
    """
    error = (images.double() - references.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(DATA_RANGE**2 / error)


def compute_ssim(images: Tensor, references: Tensor) -> Tensor:
    """Return the mean structural similarity of each image, at most 1, float64 [B].

    Wang et al. 2004 (doi:10.1109/TIP.2003.819861), eq. 13 and 17: means, variances and the
    covariance of a Gaussian window around each pixel whose window lies inside the image, the mean
    over all of them and over the channels. An image that is smaller than the window is compared
    with the largest window of odd size that it holds.

    Args:
        images: Images in [-1, 1], [B, C, H, W].
        references: What each one should be, of the same shape.
    """
    x, y = images.double(), references.double()
    rows, columns = (_build_window(side) for side in x.shape[2:])
    mean_x, mean_y, square_x, square_y, product = (
        _filter(one, rows, columns) for one in (x, y, x * x, y * y, x * y)
    )
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    covariance = product - mean_x * mean_y
    c1, c2 = (K1 * DATA_RANGE) ** 2, (K2 * DATA_RANGE) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).flatten(1).mean(1)


def _build_window(side: int) -> Tensor:
    """Return the weights of a window along a side of some pixels; they add up to 1."""
    width = min(WINDOW, side - 1 + side % 2)
    offset = torch.arange(width, dtype=torch.float64) - width // 2
    weights = torch.exp(-0.5 * (offset / SIGMA) ** 2)
    return weights / weights.sum()


def _filter(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return weighted means over windows that lie inside the images, [B, C, H', W']."""
    planes = x.flatten(0, 1)[:, None]
    for weights, shape in ((rows, (1, 1, -1, 1)), (columns, (1, 1, 1, -1))):
        planes = functional.conv2d(planes, weights.to(x.device).view(shape))
    return planes.view(*x.shape[:2], *planes.shape[2:])
