"""Files in the units of a dataset: what is written is what another program reads."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from iddm_cli import array_files
from iddm_cli.array_files import check_form, choose_form, encode_values
from iddm_cli.errors import UsageError
from iddm_cli.value_range import EIGHT_BIT, ValueRange

XRAY = ValueRange("uint16", (300.0,), (3300.0,))
HOUNSFIELD = ValueRange("int16", (-1024.0,), (3071.0,))
FLOATS = ValueRange("float32", (0.0,), (1.0,))
RGBA = ValueRange("uint8", (0.0,), (255.0,), alpha=True)
NOTES = {"iddm:run": "lungs", "iddm:class": "größe"}


def pattern(channels: int, dtype: str, low: int = 300, high: int = 3300) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (5, 7, channels)).astype(dtype)


def read_rgb_16(content: bytes) -> np.ndarray:
    """The values of a PNG without filters, read chunk by chunk."""
    position, chunks = 8, {}
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        chunks[content[position + 4 : position + 8]] = content[position + 8 :][:length]
        position += 12 + length
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (bits, colour) == (16, 2)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].copy().view(">u2").reshape(height, width, 3)


def test_a_png_of_one_band_has_16_bits_and_its_notes():
    values = pattern(1, "uint16")
    with Image.open(io.BytesIO(encode_values(values, "png", NOTES))) as image:
        assert image.mode == "I;16"
        assert (np.asarray(image) == values[..., 0]).all()
        assert image.text == NOTES


def test_a_png_of_three_bands_has_16_bits_and_its_notes():
    values = pattern(3, "uint16", 0, 65_536)
    content = encode_values(values, "png", NOTES)
    assert (read_rgb_16(content) == values).all()
    with Image.open(io.BytesIO(content)) as image:
        image.load()  # which checks the checksums
        assert (image.size, image.text) == ((7, 5), NOTES)
        assert np.abs(np.asarray(image).astype(int) - values // 256).max() <= 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (2, "LA"), (4, "RGBA")])
def test_8_bits_stay_8_bits(channels, mode):
    values = pattern(channels, "uint8", 0, 256)
    with Image.open(io.BytesIO(encode_values(values, "png"))) as image:
        assert image.mode == mode
        assert (np.atleast_3d(np.asarray(image)) == values).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_tiff_and_npy_hold_any_type_and_number_of_bands(channels, dtype):
    tifffile = pytest.importorskip("tifffile")
    values = pattern(channels, dtype, 0, 200)
    read = np.load(io.BytesIO(encode_values(values, "npy")))
    assert read.dtype == dtype and (read == values).all()
    with tifffile.TiffFile(io.BytesIO(encode_values(values, "tiff", NOTES))) as file:
        read = np.atleast_3d(file.asarray())
        assert read.dtype == dtype and (read == values).all()
        assert "iddm:run: lungs" in file.pages[0].description


@pytest.mark.parametrize(
    ("values", "channels", "form"),
    [
        (EIGHT_BIT, 1, "png"),
        (EIGHT_BIT, 3, "png"),
        (RGBA, 4, "png"),
        (EIGHT_BIT, 4, "tiff"),
        (XRAY, 1, "png"),
        (XRAY, 3, "png"),
        (XRAY, 5, "tiff"),
        (HOUNSFIELD, 1, "tiff"),
        (FLOATS, 1, "tiff"),
    ],
)
def test_the_format_can_hold_the_values(monkeypatch, values, channels, form):
    monkeypatch.setattr(array_files, "find_spec", lambda name: object())
    assert choose_form(values, channels) == form
    check_form(form, values, channels)
    check_form("npy", values, channels)
    if form != "png":
        with pytest.raises(UsageError, match="--format png cannot hold") as refused:
            check_form("png", values, channels)
        assert "--format tiff or --format npy" in refused.value.hint
    monkeypatch.setattr(array_files, "find_spec", lambda name: None)
    assert choose_form(values, channels) == ("npy" if form == "tiff" else "png")
    with pytest.raises(UsageError, match="tifffile") as refused:
        check_form("tiff", values, channels)
    assert "iddm-cli[science]" in refused.value.hint


@pytest.mark.parametrize("form", ["jpg", "webp"])
def test_formats_of_8_bits_hold_ordinary_images_alone(form):
    check_form(form, EIGHT_BIT, 1)
    check_form(form, EIGHT_BIT, 3)
    for values, channels in ((XRAY, 1), (EIGHT_BIT, 5), (RGBA, 4), (FLOATS, 3)):
        with pytest.raises(UsageError, match=f"--format {form} cannot hold"):
            check_form(form, values, channels)
