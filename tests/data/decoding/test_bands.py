"""Bands and levels: which bands are used, what is missing, how far a level is from its value."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.bands import (
    count_bands,
    drop_bands,
    find_missing,
    has_ordinary_8_bits,
    is_grey_level,
    to_levels,
    to_view,
)
from iddm_cli.data.decoding.images import (
    DecodedImage,
    UnreadableImageError,
    decode_image_file,
)
from iddm_cli.value_range import EIGHT_BIT, ValueRange

XRAY = ValueRange("uint16", (300.0,), (3300.0,))


def array(channels: int, dtype: str = "uint16", size=(6, 8), low=300, high=3301) -> np.ndarray:
    return np.random.default_rng(channels).integers(low, high, (*size, channels)).astype(dtype)


def decoded(image, *, alpha: bool = False, white: int | None = 65_535) -> DecodedImage:
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.size[::-1]
    return DecodedImage(image, width, height, animated=False, alpha=alpha, white=white)


def levels(image, values=XRAY, channels=1, size=(6, 8), aspect="crop", background="white", **kinds):
    return to_levels(
        decoded(image, **kinds),
        values,
        size=size,
        channels=channels,
        aspect=aspect,
        background=background,
    )


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "float32", "float64"])
def test_a_level_is_half_a_level_from_its_value_at_most(dtype):
    image = array(1, dtype)
    values = ValueRange(dtype, (300.0,), (3300.0,))
    exact = (image.astype(float) - 300) / 3000 * 65_535
    found = levels(image, values)
    assert found.dtype == np.uint16
    assert np.abs(found - exact).max() <= 0.5


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5, 13])
@pytest.mark.parametrize("size", [(3, 4), (12, 7), (6, 8)])
def test_every_number_of_bands_comes_out_at_the_size(size, channels, aspect):
    found = levels(array(channels), channels=channels, size=size, aspect=aspect)
    assert (found.shape, found.dtype) == ((*size, channels), np.uint16)


def test_bands_of_8_bits_are_resized_like_a_grey_image():
    image = array(5, "uint8", (20, 30), 0, 256)
    found = levels(image, EIGHT_BIT, channels=5, size=(7, 9))
    assert found.dtype == np.uint8
    for band in range(5):
        alone = levels(image[..., band : band + 1], EIGHT_BIT, size=(7, 9))
        assert (found[..., band] == alone[..., 0]).all()


def test_what_is_outside_the_range_does_not_ring():
    """A hot pixel is clipped before the image is resized, and not after."""
    image = np.full((20, 20, 1), 300, np.uint16)
    hot = image.copy()
    image[10, 10], hot[10, 10] = 3300, 65_535
    assert (levels(image, size=(7, 7)) == levels(hot, size=(7, 7))).all()


def test_each_band_has_its_own_range():
    values = ValueRange("uint16", (0.0, 100.0), (10.0, 300.0))
    image = np.array([[[0, 100], [10, 300], [5, 200]]], np.uint16)
    found = levels(image, values, channels=2, size=(1, 3))
    assert found.tolist() == [[[0, 0], [65_535, 65_535], [32_768, 32_768]]]


def test_missing_values_become_the_lowest():
    values = ValueRange("float32", (-1.0,), (1.0,))
    row = [np.nan, np.inf, -np.inf, -9999, -3.4028235e38, 1e36, 0, 1]
    image = np.array([row], np.float32)[..., None]
    assert find_missing(image)[..., 0].tolist() == [[True] * 6 + [False] * 2]
    assert levels(image, values, size=(1, 8)).ravel().tolist() == [0] * 6 + [32_768, 65_535]
    signed = np.array([-9999, -32_768, -1024, 0], np.int16)
    assert find_missing(signed).tolist() == [True, True, False, False]
    assert not find_missing(np.array([0, 65_535], np.uint16)).any()


def test_opacity_shows_the_background():
    image = np.array([[[3300, 0], [3300, 65_535], [300, 32_768]]], np.uint16)
    found = levels(image, size=(1, 3), background="black", alpha=True)
    assert found.ravel().tolist() == [0, 65_535, 0]
    found = levels(image, size=(1, 3), background="white", alpha=True)
    assert found.ravel().tolist() == [65_535, 65_535, 32_767]


@pytest.mark.parametrize(
    ("bands", "channels", "first"), [(5, 3, [0, 1, 2]), (4, 1, [0]), (1, 3, [0, 0, 0])]
)
def test_the_first_bands_are_used_or_grey_is_repeated(bands, channels, first):
    image = array(bands)
    found = levels(image, channels=channels)
    assert (found == levels(image[..., first], channels=channels)).all()
    if bands > channels:
        assert drop_bands(decoded(image), channels).image.shape[2] == channels


def test_colour_becomes_grey_by_its_luma():
    image = np.array([[[3300, 300, 300], [300, 3300, 300], [300, 300, 3300]]], np.uint16)
    found = levels(image, size=(1, 3)).ravel() / 65_535
    assert found.tolist() == pytest.approx([0.299, 0.587, 0.114], abs=1e-4)


@pytest.mark.parametrize(
    ("bands", "channels", "said"),
    [(3, 5, "3 bands, where training uses 5"), (1, 4, "1 band, where training uses 4")],
)
def test_too_few_bands_are_a_reason(bands, channels, said):
    with pytest.raises(UnreadableImageError, match=said):
        levels(array(bands), channels=channels)
    each = ValueRange("uint16", (0.0,) * channels, (9.0,) * channels)
    with pytest.raises(UnreadableImageError, match=said):
        levels(array(bands), each, channels=channels)


def test_opacity_of_an_ordinary_image_may_be_a_channel():
    image = Image.fromarray(array(4, "uint8", low=0, high=256))
    values = ValueRange("uint8", (0.0,), (255.0,), alpha=True)
    assert (levels(image, values, channels=4) == np.asarray(image)).all()
    opaque = levels(image.convert("RGB"), values, channels=4)
    assert (opaque[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("image", "bands", "ordinary"),
    [
        (Image.new("RGBA", (2, 2)), 3, True),
        (Image.new("LA", (2, 2)), 1, True),
        (Image.new("P", (2, 2)), 3, True),
        (array(3, "uint8", high=500), 3, True),
        (array(4, "uint8", high=500), 4, False),
        (array(1), 1, False),
    ],
    ids=["RGBA", "LA", "P", "uint8 x 3", "uint8 x 4", "uint16"],
)
def test_ordinary_images_are_grey_or_colour_of_8_bits(image, bands, ordinary):
    assert count_bands(decoded(image)) == bands
    assert has_ordinary_8_bits(decoded(image)) is ordinary


def test_grey_is_equal_in_all_bands_within_the_tolerance_of_8_bits():
    grey = np.full((2, 2, 3), 1000, np.uint16)
    assert is_grey_level(grey, XRAY)
    grey[0, 0, 0] += 4 * 257
    assert is_grey_level(grey, XRAY)
    grey[0, 0, 0] += 1
    assert not is_grey_level(grey, XRAY)
    assert not is_grey_level(np.zeros((2, 2, 5), np.uint16), XRAY)
    assert is_grey_level(np.zeros((2, 2, 1), np.uint16), XRAY)


def test_a_view_shows_the_first_three_bands_over_the_range():
    image = array(5)
    view = np.asarray(to_view(decoded(image), XRAY, "white"))
    assert np.abs(view - (image[..., :3] - 300.0) / 3000 * 255).max() <= 0.5
    assert to_view(decoded(array(2)), None, "white").mode == "L"
    constant = to_view(decoded(np.full((3, 3, 1), np.nan, np.float32)), None, "white")
    assert constant.getextrema() == (0, 0)


def test_a_file_may_name_the_value_of_missing_pixels(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = np.array([[0, 300, 3300], [0, 0, 1800]], np.uint16)
    tag = [(42113, "s", 0, "0", True)]
    tifffile.imwrite(tmp_path / "a.tif", values, extratags=tag, metadata=None)
    image = decode_image_file(tmp_path / "a.tif")
    assert image.missing == 0
    found = find_missing(image.image, image.missing)[..., 0]
    assert found.tolist() == [[True, False, False], [True, True, False]]
    bands = np.repeat(values[..., None], 5, axis=2)
    tifffile.imwrite(tmp_path / "b.tif", bands, extratags=tag, metadata=None,
                     photometric="minisblack", planarconfig="contig")  # fmt: skip
    assert decode_image_file(tmp_path / "b.tif").missing == 0
    assert decode_image_file(tmp_path / "b.tif").image.shape == (2, 3, 5)


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(7, 9), (50, 40)])
def test_a_resized_label_image_holds_its_own_labels_only(aspect, size):
    labels = np.random.default_rng(0).choice(np.uint8([0, 2]), (30, 24))
    decoded = DecodedImage(Image.fromarray(labels), 24, 30, False)
    options = {"size": size, "channels": 1, "aspect": aspect, "background": "black"}
    values = ValueRange("uint8", (0.0,), (2.0,))
    levels = to_levels(decoded, values, **options)
    assert set(values.to_values(levels).ravel().tolist()) == {0, 2}
    blended = to_levels(decoded, EIGHT_BIT, **options)
    assert set(blended.ravel().tolist()) > {0, 2}
