"""Images of a page: sizes, and levels of any depth and number of channels."""

import numpy as np
import pytest

from iddm_cli.data.inspection.thumbnails import Thumbnail
from iddm_cli.display.html.image_tags import image_attributes, levels_to_image


@pytest.mark.parametrize(
    ("side", "shown", "sharp"), [(8, 72, True), (28, 56, True), (72, 72, True), (128, 72, False)]
)
def test_small_images_grow_by_whole_factors(side, shown, sharp):
    attributes = image_attributes(Thumbnail("a", b"x", "png", side, side))
    assert (attributes["width"], attributes["sharp"]) == (shown, sharp)
    assert attributes["source"] == "data:image/png;base64,eA=="


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (16, "RGB")])
def test_levels_become_images_of_8_bits(channels, mode):
    levels = np.zeros((channels, 2, 3), np.uint16)
    levels[0, 0, 1] = 65535
    deep = levels_to_image(levels)
    assert (deep.mode, deep.size) == (mode, (3, 2))
    assert np.asarray(deep).max() == 255
    assert np.asarray(levels_to_image((levels // 257).astype(np.uint8))).tolist() == (
        np.asarray(deep).tolist()
    )
