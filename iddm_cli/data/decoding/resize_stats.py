"""Shapes: what becomes of pictures of many sizes when all are brought to one."""

import numpy as np
from numpy import ndarray

from iddm_cli.profiles.settings import AspectName


class ResizeStats:
    """What cropping, padding or squashing does to each picture.

    Args:
        widths: Of the originals, in pixels, [N].
        heights: The same.
        size: Height and width that all are brought to.
        aspect: How.

    Attributes:
        kept: Share of the picture that stays in view, [N].
        padding: Share of what is learnt that is padding, [N].
        distortion: How many times one side is stretched more than the other, [N].
        scale: By what its sides are multiplied, [N]; above 1 it is enlarged. A crop needs both
            sides to be enough, padding only the longer one.
    """

    def __init__(
        self, widths: ndarray, heights: ndarray, size: tuple[int, int], aspect: AspectName
    ) -> None:
        height, width = size
        down, across = height / heights, width / widths
        smaller, larger = np.minimum(down, across), np.maximum(down, across)
        whole, nothing = np.ones_like(down), np.zeros_like(down)
        crop, pad = aspect == "crop", aspect == "pad"
        self.kept = smaller / larger if crop else whole
        self.padding = 1 - smaller / larger if pad else nothing
        self.distortion = whole if crop or pad else larger / smaller
        self.scale = smaller if pad else larger


def min_median_max(numbers: ndarray) -> tuple[int, int, int]:
    """Return the least, the middle and the most of at least one number."""
    ordered = np.sort(numbers)
    return int(ordered[0]), int(ordered[len(ordered) // 2]), int(ordered[-1])
