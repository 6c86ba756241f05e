"""Reduced images: small and smooth ones, in which noise averages out.

Images of any size are compared at about the number of pixels of a 32 × 32 image.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.evaluation.image_set import ImageSet

COMPARED_PIXELS = 32 * 32
SMALLEST_SIDE = 5
SMOOTHING = 3
"""Blocks of so many pixels are averaged, after reducing: a copy may be noisier, or smoother."""

CHUNK_NUMBERS = 2**23
"""Numbers that are in memory at once while images are reduced."""

KEPT_NUMBERS = 2**26
"""Reduced images are kept in memory up to so many numbers (256 MiB)."""


class ReducedImages:
    """The reduced images of a set, kept where they fit into memory and made again where not.

    Args:
        images: The images, of any size.
    """

    def __init__(self, images: ImageSet) -> None:
        self.images = images
        channels, height, width = images.pixels.shape[1:]
        numbers = len(images) * channels * math.prod(reduced_size(height, width))
        self.kept = reduce_images(images) if numbers <= KEPT_NUMBERS else None

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        """Return the reduced images of these indices, [B, C, H, W]."""
        return reduce_images(self.images.select(index)) if self.kept is None else self.kept[index]


def reduce_images(images: ImageSet) -> Tensor:
    """Return reduced images in [-1, 1], float32 [N, C, H, W]."""
    channels, height, width = images.pixels.shape[1:]
    chunk = max(1, CHUNK_NUMBERS // (channels * height * width))
    size = _size_before_smoothing(height, width)
    reduced = torch.empty(len(images), channels, *reduced_size(height, width))
    for start in range(0, len(images), chunk):
        small = functional.interpolate(images.images(start, start + chunk), size, mode="area")
        reduced[start : start + chunk] = functional.avg_pool2d(small, SMOOTHING, stride=1)
    return reduced


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a reduced image."""
    size = _size_before_smoothing(height, width)
    return size[0] - SMOOTHING + 1, size[1] - SMOOTHING + 1


def _size_before_smoothing(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, math.sqrt(COMPARED_PIXELS / (height * width)))
    return max(SMALLEST_SIDE, round(height * scale)), max(SMALLEST_SIDE, round(width * scale))
