"""What resizing does to images, against values computed by hand."""

import numpy as np
import pytest

from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.profiles.settings import AspectName

WIDTHS, HEIGHTS = np.array([20, 10, 5]), np.array([10, 10, 10])


@pytest.mark.parametrize(
    ("aspect", "kept", "padding", "distortion", "scale"),
    [
        ("crop", [0.5, 1, 0.5], [0, 0, 0], [1, 1, 1], [1, 1, 2]),
        ("pad", [1, 1, 1], [0.5, 0, 0.5], [1, 1, 1], [0.5, 1, 1]),
        ("squash", [1, 1, 1], [0, 0, 0], [2, 1, 2], [1, 1, 2]),
    ],
)
def test_three_images_at_10_x_10(
    aspect: AspectName,
    kept: list[float],
    padding: list[float],
    distortion: list[float],
    scale: list[float],
) -> None:
    stats = ResizeStats(WIDTHS, HEIGHTS, (10, 10), aspect)
    assert stats.kept.tolist() == kept
    assert stats.padding.tolist() == padding
    assert stats.distortion.tolist() == distortion
    assert stats.scale.tolist() == scale


def test_min_median_max() -> None:
    assert min_median_max(np.array([9, 1, 4])) == (1, 4, 9)
    assert min_median_max(np.array([7])) == (7, 7, 7)
