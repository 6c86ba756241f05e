"""Conversion to pixels: colours against values computed by hand, and aspect ratios."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from PIL import Image, ImageDraw

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.decoding.resize import to_pixels
from iddm_cli.profiles.settings import AspectName, BackgroundName
from tests.data.decoding.pixels import colours, row, saved

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first


# --- colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    path = saved(tmp_path, Image.fromarray(ramp), name)
    assert (colours(path, channels=1).ravel() == np.arange(256)).all()


def test_16_bit_grey_is_rounded_to_the_nearest(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257 * 7 + 128, 257 * 7 + 129, 65535]], dtype=np.uint16)
    path = saved(tmp_path, Image.fromarray(values))
    assert colours(path, channels=1).tolist() == [[0, 0, 1, 7, 8, 255]]


def test_12_bit_grey_is_scaled_by_its_own_range(tmp_path: Path) -> None:
    """Pillow writes none; so a header of 5 bytes is changed to say that they are 3 values."""
    packed = bytes.fromhex("00 08 00 ff f0")  # 0x000, 0x800 and 0xfff, and 4 bits to fill up
    path = saved(tmp_path, Image.frombytes("L", (5, 1), packed), "a.tif")
    content = path.read_bytes()
    for tag, kind, before, after in ((256, 4, 5, 3), (258, 3, 8, 12)):
        entry = struct.pack("<HHII", tag, kind, 1, before)
        assert content.count(entry) == 1
        content = content.replace(entry, struct.pack("<HHII", tag, kind, 1, after))
    path.write_bytes(content)
    assert colours(path, channels=1).tolist() == [[0, 128, 255]]


def test_16_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    values = np.array([[1000, 65535]], dtype=np.uint16)
    path = saved(tmp_path, Image.fromarray(values), transparency=1000)
    assert colours(path, channels=1, background="grey").tolist() == [[128, 255]]


# 200 at alpha 100 over white: (200 * 100 + 255 * 155) / 255 = 233.4, and so on.
@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ("white", [[233, 159, 155], [255, 255, 255], [1, 2, 3]]),
        ("black", [[78, 4, 0], [0, 0, 0], [1, 2, 3]]),
        ("grey", [[156, 82, 78], [128, 128, 128], [1, 2, 3]]),
    ],
)
@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.tif", {})])
def test_alpha_is_laid_over_the_background(
    tmp_path: Path, background: BackgroundName, expected: list, name: str, options: dict
) -> None:
    image = row("RGBA", (200, 10, 0, 100), (9, 99, 199, 0), (1, 2, 3, 255))
    path = saved(tmp_path, image, name, **options)
    assert colours(path, background=background)[0].tolist() == expected


def test_grey_with_alpha(tmp_path: Path) -> None:
    path = saved(tmp_path, row("LA", (200, 100), (77, 0), (77, 255)))
    assert colours(path, channels=1, background="black").tolist() == [[78, 0, 77]]


def palette_image() -> Image.Image:
    image = row("P", 0, 1, 2)
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    return image


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_palette_with_one_transparent_entry(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, palette_image(), name, transparency=1)
    assert colours(path)[0].tolist() == [[200, 0, 0], [255, 255, 255], [0, 0, 200]]


def test_palette_with_half_transparent_entries(tmp_path: Path) -> None:
    path = saved(tmp_path, palette_image(), transparency=bytes([255, 0, 51]))
    expected = [[200, 0, 0], [0, 0, 0], [0, 0, 40]]
    assert colours(path, background="black")[0].tolist() == expected


def test_palette_without_transparency(tmp_path: Path) -> None:
    path = saved(tmp_path, palette_image(), "a.bmp")
    assert colours(path)[0].tolist() == [[200, 0, 0], [0, 200, 0], [0, 0, 200]]


@pytest.mark.parametrize(
    ("mode", "key", "pixels", "expected"),
    [
        ("L", 7, (7, 8), [[0, 0, 0], [8, 8, 8]]),
        ("RGB", (7, 8, 9), ((7, 8, 9), (7, 8, 8)), [[0, 0, 0], [7, 8, 8]]),
    ],
)
def test_a_colour_that_stands_for_transparent(
    tmp_path: Path, mode: str, key: object, pixels: tuple, expected: list
) -> None:
    path = saved(tmp_path, row(mode, *pixels), transparency=key)
    assert colours(path, background="black")[0].tolist() == expected


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_one_bit(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, row("1", 0, 255, 255), name)
    assert colours(path, channels=1).tolist() == [[0, 255, 255]]


def test_one_bit_shrinks_to_greys() -> None:
    board = Image.fromarray((np.indices((32, 32)).sum(axis=0) % 2).astype(bool))
    pixels = to_pixels(board, size=(8, 8), channels=1, aspect="crop", background="white")
    assert board.mode == "1"
    assert abs(pixels[2:-2, 2:-2].astype(int) - 127).max() <= 3


# Red is 255 - K, less its share C: with C = K = 128, 127 - 127 * 128 / 255 = 63.
def test_cmyk(tmp_path: Path) -> None:
    inks = ((0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (0, 0, 0, 128), (128, 0, 0, 128))
    path = saved(tmp_path, row("CMYK", *inks), "a.tif")
    expected = [[255, 255, 255], [255, 0, 0], [0, 0, 0], [127, 127, 127], [63, 127, 127]]
    assert colours(path)[0].tolist() == expected


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg", quality=100)
    assert abs(colours(path)[8, 8].astype(int) - [255, 0, 0]).max() <= 4


# 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
def test_colour_to_grey_and_grey_to_colour() -> None:
    assert colours(row("RGB", (200, 100, 50)), channels=1).tolist() == [[124]]
    assert colours(row("L", 77)).tolist() == [[[77, 77, 77]]]


def test_floats_between_0_and_1_are_scaled(tmp_path: Path) -> None:
    values = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    path = saved(tmp_path, Image.fromarray(values), "a.tif")
    assert colours(path, channels=1).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0.0, 255.0]], dtype=np.float32),
        np.array([[-0.1, 1.0]], dtype=np.float32),
        np.array([[0.5, np.nan]], dtype=np.float32),
        np.array([[1, 70_000]], dtype=np.int32),
    ],
)
def test_numbers_of_unknown_range_are_refused(tmp_path: Path, values: ndarray) -> None:
    path = saved(tmp_path, Image.fromarray(values), "a.tif")
    with pytest.raises(UnreadableImageError, match=r"floating-point|int32"):
        colours(path)


# --- shapes ---------------------------------------------------------------------------------------


def pattern(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (8, 12), (40, 24), (7, 31)])
def test_every_shape_comes_out_at_the_size(
    shape: tuple[int, int], channels: int, aspect: AspectName
) -> None:
    image = pattern(*shape)
    pixels = to_pixels(image, size=(8, 12), channels=channels, aspect=aspect, background="grey")
    assert pixels.shape == (8, 12, channels)
    assert pixels.flags.c_contiguous and pixels.flags.writeable


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
def test_an_image_of_the_size_is_left_as_it_is(aspect: AspectName) -> None:
    image = pattern(8, 12)
    pixels = to_pixels(image, size=(8, 12), channels=3, aspect=aspect, background="grey")
    assert (pixels == np.asarray(image)).all()


@pytest.mark.parametrize(("width", "left"), [(40, 10), (41, 10), (42, 11)])
def test_crop_takes_the_middle_unblurred(width: int, left: int) -> None:
    image = pattern(20, width)
    pixels = to_pixels(image, size=(20, 20), channels=3, aspect="crop", background="white")
    assert (pixels == np.asarray(image)[:, left : left + 20]).all()
    turned = image.transpose(Image.Transpose.TRANSPOSE)
    pixels = to_pixels(turned, size=(20, 20), channels=3, aspect="crop", background="white")
    assert (pixels == np.asarray(turned)[left : left + 20]).all()


def test_pad_stands_in_the_middle_of_the_background() -> None:
    image = pattern(20, 10)
    pixels = to_pixels(image, size=(20, 16), channels=3, aspect="pad", background="grey")
    assert (pixels[:, 3:13] == np.asarray(image)).all()
    assert (pixels[:, :3] == 128).all() and (pixels[:, 13:] == 128).all()


@pytest.mark.parametrize(
    ("aspect", "height", "width"), [("crop", 8, 8), ("pad", 4, 4), ("squash", 8, 4)]
)
def test_a_square_stays_square_unless_squashed(aspect: AspectName, height: int, width: int) -> None:
    image = Image.new("L", (80, 40), 255)
    ImageDraw.Draw(image).rectangle((32, 12, 47, 27), fill=0)
    pixels = to_pixels(image, size=(20, 20), channels=1, aspect=aspect, background="white")[..., 0]
    dark = pixels < 128
    assert (dark.any(axis=1).sum(), dark.any(axis=0).sum()) == (height, width)


def test_shrinking_averages_and_enlarging_keeps_even_areas_even() -> None:
    board = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8))
    small = to_pixels(board, size=(8, 8), channels=1, aspect="squash", background="white")
    assert abs(small.astype(int) - 127).max() <= 3
    even = Image.new("L", (3, 3), 77)
    assert (to_pixels(even, size=(9, 9), channels=1, aspect="crop", background="white") == 77).all()
