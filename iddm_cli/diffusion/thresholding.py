"""Bounds of the estimate of x: clipped to the pixel range, or by dynamic thresholding."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise, clip_estimates


def bound_estimates(denoise: Denoise, threshold: float | Sequence[float], *, clip: bool) -> Denoise:
    """Return a denoiser whose estimates are clipped, thresholded, or neither.

    Args:
        denoise: The denoiser.
        threshold: Share of dynamic thresholding, see `threshold_images`, or that of each image; 0
            disables it.
        clip: Whether images without dynamic thresholding are clipped to [-1, 1].
    """
    shares = [threshold] if isinstance(threshold, int | float) else [*threshold]
    if not any(shares):
        return clip_estimates(denoise) if clip else denoise

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        denoised = denoise(x_t, t, label)
        if len(set(shares)) == 1:
            return threshold_images(denoised, shares[0])
        bounded = denoised.clamp(-1, 1) if clip else denoised.clone()
        for share in sorted(set(shares) - {0}):
            rows = [row for row, own in enumerate(shares) if own == share]
            bounded[rows] = threshold_images(denoised[rows], share)
        return bounded

    return estimate


def threshold_images(x: Tensor, share: float) -> Tensor:
    """Return images in [-1, 1] by dynamic thresholding (Saharia et al. 2022, section 2.3).

    For each image s is the quantile of |x| at `share`, at least 1; its values are clipped to
    [-s, s] and divided by s. Large guidance scales push many values out of the range: plain
    clipping makes areas of pure black and white of them, dynamic thresholding moves them inwards.
    (Imagen, arXiv:2205.11487.)

    Args:
        x: Images, [B, C, H, W].
        share: Share of the values that stay below s, in (0, 1], such as 0.995.
    """
    limit = find_quantiles(x.abs().flatten(1), share).clamp(min=1).view(-1, 1, 1, 1)
    return torch.minimum(torch.maximum(x, -limit), limit) / limit


def find_quantiles(values: Tensor, share: float) -> Tensor:
    """Return the quantile of each row, [B, N] to [B], with linear interpolation.

    It equals torch.quantile to rounding, but has no limit on the number of values, and does not
    depend on the number of rows.

    Args:
        values: The values.
        share: Which quantile, in [0, 1]; the larger, the cheaper.
    """
    below, above, fraction = locate_quantile(values.shape[1], share)
    largest = values.topk(below + 1, dim=1).values
    return largest[:, below] + fraction * (largest[:, above] - largest[:, below])


def locate_quantile(count: int, share: float) -> tuple[int, int, float]:
    """Return where a quantile of `count` values lies.

    Returns:
        The ranks of the values below and above it, counted from the largest, 0, and the share of
        the way from the one to the other.
    """
    position = share * (count - 1)
    floor = math.floor(position)
    below = count - 1 - floor
    return below, max(0, below - 1), position - floor
