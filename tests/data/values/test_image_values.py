"""What is known of one image's values."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.values.image_values import choose_pixels, sample_image
from tests.data.values.surveys import sample


@pytest.mark.parametrize(("count", "wanted"), [(10, 20), (20, 20), (400 * 300, 1000), (99, 98)])
def test_pixels_are_spread_over_the_image(count, wanted):
    chosen = choose_pixels(count, wanted)
    assert len(chosen) == min(count, wanted)
    assert chosen.min() >= 0 and chosen.max() < count
    if wanted == 1000:
        columns = np.unique(chosen % 400)
        assert len(columns) > 360, "not the same columns again and again"
        assert np.abs(np.bincount(chosen * 10 // count) - 100).max() <= 2


def test_the_ends_are_exact_and_samples_few():
    image = np.full((100, 100, 2), 7, np.uint16)
    image[50, 50] = 1, 60_000
    values = sample(image, pixels=50)
    assert (values.low.tolist(), values.high.tolist()) == ([1, 7], [7, 60_000])
    assert values.samples.shape == (50, 2)
    assert (values.dtype, values.bands, values.white) == ("uint16", 2, 65_535)


def test_missing_values_are_counted_and_left_out():
    image = np.array([[np.nan, -9999, np.inf, 1, 2, 3, 4, 5]], np.float32)
    values = sample(image)
    assert values.missing == 3 / 8
    assert (values.low.tolist(), values.high.tolist()) == ([1], [5])
    assert np.nansum(values.samples) == 15
    empty = sample(np.full((2, 2), np.nan, np.float32))
    assert np.isnan(empty.low).all() and empty.missing == 1


def test_an_ordinary_image_is_one_of_8_bits():
    values = sample(Image.new("RGBA", (4, 4), (10, 120, 30, 240)))
    assert (values.dtype, values.bands, values.photograph, values.alpha) == ("uint8", 3, True, True)
    assert not values.grey
    assert sample(Image.new("L", (4, 4), 2)).labels == (2,)
    assert sample(np.full((4, 4), 2, np.uint8)).labels == (2,)
    assert sample(np.full((4, 4), 2, np.uint16)).labels == ()


def test_8_bits_stored_in_16_are_recognised():
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert sample(eight).multiples
    assert not sample(eight + 1).multiples


def test_grey_in_three_bands_is_grey():
    grey = np.repeat(np.arange(300, 700, dtype=np.uint16).reshape(20, 20, 1), 3, axis=2)
    assert sample(grey).grey
    grey[0, 0, 1] += 100
    assert not sample(grey).grey


def test_a_file_that_cannot_be_decoded_is_a_reason():
    class Broken:
        def open(self, min_side: int = 0):
            raise UnreadableImageError("damaged")

    assert sample_image(10, "white", Broken()) == "damaged"
