"""16-bit colour: PNG and TIFF keep every value, whatever Pillow would make of it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.formats.deep import Values, divide_by_alpha, find_white
from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, noise, tiff, values_of

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG (ISO 15948), table 11.1


def png(array: np.ndarray, *chunks: bytes) -> bytes:
    """A 16-bit PNG [H, W, C], whose rows are filtered by `Sub`, `Up` and not at all in turn."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, channels = array.shape
    raw = array.astype(">u2").view(np.uint8).reshape(height, width * 2 * channels)
    rows = b""
    for y, row in enumerate(raw):
        step = 2 * channels
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])
        above = raw[y - 1] if y else np.zeros_like(row)
        rows += bytes([y % 3]) + (row - [np.zeros_like(row), left, above][y % 3]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPES[channels], 0, 0, 0)
    extra = b"".join(chunk(part[:4], part[4:]) for part in chunks)
    image = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + image + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_all_16_bits(channels):
    array = noise(9, 7, channels)
    decoded = decode(png(array))
    assert decoded.image.dtype == np.uint16
    assert (decoded.image == array).all()
    assert (decoded.white, decoded.alpha) == (65535, channels in (2, 4))


def test_a_transparent_colour_of_16_bits():
    array = noise(4, 5, 3)
    key = array[2, 3]
    decoded = decode(png(array, b"tRNS" + key.astype(">u2").tobytes()))
    assert (decoded.image[..., :3] == array).all()
    assert decoded.alpha and (decoded.image[..., 3] == 0).sum() == 1
    assert decoded.image[2, 3, 3] == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": 2}, {"tile": (16, 16)},
     {"rowsperstrip": 7}, {"bigtiff": True}],
    ids=str,
)  # fmt: skip
def test_tiff_keeps_all_16_bits(options):
    array = noise(30, 20, 3)
    assert (values_of(tiff(array, photometric="rgb", **options)) == array).all()


@pytest.mark.parametrize(
    ("extra", "alpha"), [("unassalpha", True), ("unspecified", False), ("assocalpha", True)]
)
def test_the_fourth_channel_of_a_16_bit_tiff(extra, alpha):
    array = noise(6, 5, 4)
    decoded = decode(tiff(array, photometric="rgb", extrasamples=[extra]))
    assert decoded.alpha is alpha
    expected = divide_by_alpha(array, 65535) if extra == "assocalpha" else array
    assert (decoded.image == expected).all()


def test_premultiplied_colours_are_divided_by_their_opacity():
    array = np.array([[[100, 50, 0, 128], [7, 7, 7, 255], [0, 0, 0, 0], [200, 0, 0, 100]]], "u1")
    expected = [[199, 100, 0, 128], [7, 7, 7, 255], [0, 0, 0, 0], [255, 0, 0, 100]]
    assert divide_by_alpha(array, 255)[0].tolist() == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation):
    array = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = Image.fromarray((array >> 8).astype(np.uint8))
    buffer = io.BytesIO()
    small.save(buffer, "PNG", exif=exif)
    expected = np.asarray(decode(buffer.getvalue()).image)
    turned = Values(array).rotate(orientation).array
    assert ((turned >> 8) == expected).all()
    whole = decode(png(array, b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")))
    assert (whole.image == turned).all()
    assert (whole.height, whole.width) == turned.shape[:2]


def test_a_number_of_bits_that_is_none_of_16_is_damage():
    assert [find_white(bits) for bits in (1, 12, 16)] == [1, 4095, 65535]
    for bits in (0, 17, 40_000):
        with pytest.raises(UnreadableImageError, match=f"damaged: {bits} bits"):
            find_white(bits)
