"""Windows: parts of images at all small shifts, compared whatever their mirroring or contrast."""

import math

import torch
from torch import Tensor
from torch.nn import functional

MAX_SHIFT = 2
"""Pixels by which a copy may be shifted, at 32 × 32."""

PIXELS_PER_SHIFT = 12
"""Smaller images are compared at smaller shifts: one pixel for so many of the shorter side."""

COARSE_SIDE = 8


def largest_shift(images: Tensor) -> int:
    """Return by how many pixels copies of images, [..., H, W], may be shifted."""
    return min(MAX_SHIFT, min(images.shape[-2:]) // PIXELS_PER_SHIFT)


def middle_window(images: Tensor) -> Tensor:
    """Return the part of images, [..., H, W], that can be shifted in all directions."""
    shift = largest_shift(images)
    return window_at(images, shift, shift)


def window_at(images: Tensor, top: int, left: int) -> Tensor:
    """Return the part of images, [..., H, W], whose corner is at this pixel."""
    height, width = (side - 2 * largest_shift(images) for side in images.shape[-2:])
    return images[..., top : top + height, left : left + width]


def contrast(windows: Tensor) -> Tensor:
    """Return the standard deviation of the pixels of a channel, [N, C, H, W] to [N]."""
    return remove_means(windows).square().mean(dim=(1, 2, 3)).sqrt()


def remove_means(images: Tensor) -> Tensor:
    """Subtract the mean of each channel, [N, C, H, W]: brightness and tint show nothing."""
    return images - images.mean(dim=(2, 3), keepdim=True)


def normalize_windows(windows: Tensor, *, flat: float) -> Tensor:
    """Remove brightness, tint and contrast: vectors of norm 1, [N, C, H, W] to [N, D].

    Args:
        windows: The windows.
        flat: Contrast below which an image is noise, and is not amplified to norm 1.
    """
    vectors = remove_means(windows).flatten(1)
    smallest = max(flat * math.sqrt(vectors.shape[1]), torch.finfo(vectors.dtype).tiny)
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=smallest)


def coarse_vectors(images: Tensor, *, flat: float) -> Tensor:
    """Return normalized block means of the middle of images, [N, C, H, W] to [N, D]."""
    middle = middle_window(images)
    size = (min(COARSE_SIDE, middle.shape[-2]), min(COARSE_SIDE, middle.shape[-1]))
    return normalize_windows(functional.adaptive_avg_pool2d(middle, size), flat=flat)


def coarse_variants(images: Tensor, *, flat: float) -> Tensor:
    """Return normalized block means of images at all shifts, also mirrored, [N, V, D]."""
    shift = largest_shift(images)
    height, width = images.shape[-2:]
    blocks = torch.einsum(
        "sah,nchw,tbw->nstcab", _block_means(height, shift), images, _block_means(width, shift)
    )
    both = torch.stack([blocks, blocks.flip(-1)], dim=3).flatten(0, 3)
    return normalize_windows(both, flat=flat).unflatten(0, (len(images), -1))


def _block_means(side: int, shift: int) -> Tensor:
    """Return matrices that turn a line of pixels into means of blocks, [S, blocks, side].

    There is one for each shift, of the blocks of the window at that shift.
    """
    window = side - 2 * shift
    blocks = min(COARSE_SIDE, window)
    unit = torch.eye(side)
    return torch.stack(
        [
            functional.adaptive_avg_pool1d(unit[:, start : start + window], blocks).T
            for start in range(2 * shift + 1)
        ]
    )


def shifted_distances(images: Tensor, candidates: Tensor, norms: Tensor, *, flat: float) -> Tensor:
    """Return the smallest distance over all shifts and mirror images, in [0, 2], [N, K].

    It is the Euclidean distance of normalized windows: of the middle of an image, also mirrored,
    to the windows of a candidate.

    Args:
        images: Reduced images, [N, C, H, W].
        candidates: Reduced images to compare each with, [N, K, C, H, W].
        norms: Norms of the windows of the candidates, [N, K, S].
        flat: Contrast below which an image is noise.
    """
    products = _place_windows(images, flat=flat) @ candidates.flatten(2).mT
    cosines = products.unflatten(1, (-1, 2)).amax(dim=2).mT / norms
    return (2 - 2 * cosines.amax(dim=2)).clamp(min=0).sqrt()


def _place_windows(images: Tensor, *, flat: float) -> Tensor:
    """Return the normalized middle of each image in all places of an empty one, [N, V, C H W].

    Its product with another image is the one with that image's window at this place, whose means
    do not matter, as those of the middle are 0. The two mirror images follow each other.
    """
    middle = middle_window(images)
    vectors = [normalize_windows(one, flat=flat) for one in (middle, middle.flip(-1))]
    both = torch.stack(vectors, dim=1).unflatten(2, middle.shape[1:])
    span = 2 * largest_shift(images)
    placed = [
        functional.pad(both, (left, span - left, top, span - top))
        for top in range(span + 1)
        for left in range(span + 1)
    ]
    return torch.cat(placed, dim=1).flatten(2)


def window_norms(images: Tensor, *, flat: float) -> Tensor:
    """Return the norm of each window about its mean, at all shifts, [N, S]; never below flat."""
    centred = remove_means(images)
    height, width = middle_window(images).shape[-2:]
    means = []
    for values in (centred, centred.square()):
        rows = functional.avg_pool2d(values, (height, 1), stride=1)
        blocks = functional.avg_pool2d(rows, (1, width), stride=1)
        means.append(blocks)
    deviation = (means[1] - means[0].square()).mean(dim=1).clamp(min=0).sqrt().flatten(1)
    count = images.shape[1] * height * width
    return deviation.clamp(min=max(flat, 1e-12)) * math.sqrt(count)
