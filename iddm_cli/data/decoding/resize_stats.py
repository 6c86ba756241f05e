"""What resizing to one size does to images of many sizes."""

import numpy as np
from numpy import ndarray

from iddm_cli.profiles.settings import AspectName


class ResizeStats:
    """What cropping, padding or squashing does to each of N images.

    Args:
        widths: Widths of the originals, in pixels, [N].
        heights: Heights of the originals, in pixels, [N].
        size: Height and width that all images are resized to.
        aspect: What happens to another aspect ratio.

    Attributes:
        kept: Share of the original that remains visible, from 0 to 1, [N].
        padding: Share of the result that is padding, from 0 to 1, [N].
        distortion: Ratio of the scale factors of the two sides, at least 1, [N].
        scale: Scale factor, above 1 where the image is enlarged, [N]: the smaller of both sides'
            where it is padded, else the larger.
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
    """Return minimum, median and maximum; there must be at least one number."""
    ordered = np.sort(numbers)
    return int(ordered[0]), int(ordered[len(ordered) // 2]), int(ordered[-1])
