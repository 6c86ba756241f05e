"""Arrays: which dimension the channels are, and the types that are delivered."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.formats.arrays import build_decoded, find_channel_axis
from iddm_cli.data.decoding.images import UnreadableImageError


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((20, 30), None),
        ((20, 30, 3), 2),
        ((3, 20, 30), 0),
        ((13, 20, 20), 0),
        ((20, 20, 13), 2),
        ((8, 8, 13), 2),  # both could be: the image is square
        ((3, 8, 8), 0),
        ((8, 8, 8), 2),
        ((5, 6, 7), 2),
        ((1, 28, 28), 0),
    ],
)
def test_channels_are_the_small_dimension(shape, axis):
    assert find_channel_axis(shape) == axis


@pytest.mark.parametrize(
    ("shape", "words"),
    [((7,), "not the array of an image"), ((), "a single number"), ((0, 5), "not the array"),
     ((50, 32, 32), "several images"), ((50, 32, 32, 3), "50x32x32x3")],
)  # fmt: skip
def test_other_shapes_are_refused(shape, words):
    with pytest.raises(UnreadableImageError, match=words):
        find_channel_axis(shape)


@pytest.mark.parametrize(
    ("given", "delivered"),
    [("int8", "int16"), (">u2", "uint16"), (">f4", "float32"), ("float16", "float32"),
     ("int64", "int32"), ("uint64", "int32"), ("float64", "float64"), ("uint32", "uint32")],
)  # fmt: skip
def test_values_keep_their_numbers_in_a_type_that_is_allowed(given, delivered):
    values = np.array([[[0], [1], [100]]], given)
    array = build_decoded(values, format="X").image
    assert array.dtype == np.dtype(delivered)
    assert array.dtype.isnative and array.flags.c_contiguous
    assert array.ravel().tolist() == [0, 1, 100]


def test_large_64_bit_integers_fit_or_become_floating_point():
    assert build_decoded(np.array([[[2**32 - 1]]]), format="X").image.dtype == np.uint32
    assert build_decoded(np.array([[[2**40]]]), format="X").image.dtype == np.float64
    assert build_decoded(np.array([[[-1, 2**32 - 1]]]), format="X").image.dtype == np.float64


def test_grey_and_colour_of_8_bits_are_pillow_images():
    modes = {1: "L", 3: "RGB"}
    for channels, mode in modes.items():
        decoded = build_decoded(np.zeros((2, 3, channels), np.uint8), format="X")
        assert isinstance(decoded.image, Image.Image)
        assert (decoded.mode, decoded.width, decoded.height) == (mode, 3, 2)
    assert build_decoded(np.zeros((2, 3, 4), np.uint8), format="X", alpha=True).mode == "RGBA"
    assert build_decoded(np.ones((2, 3, 1), bool), format="X").image.getextrema() == (255, 255)


def test_other_numbers_of_channels_stay_arrays():
    for channels in (2, 4, 5):
        decoded = build_decoded(np.zeros((2, 3, channels), np.uint8), format="X")
        assert decoded.mode == f"uint8 x {channels}"
        assert (decoded.white, decoded.alpha) == (255, False)
    assert build_decoded(np.zeros((2, 3, 1), np.uint8), format="X", white=1).mode == "uint8"


def test_what_cannot_be_grey_is_refused():
    for dtype in ("complex64", "datetime64[s]", "S3"):
        with pytest.raises(UnreadableImageError, match="grey levels"):
            build_decoded(np.zeros((2, 3, 1), dtype), format="X")
