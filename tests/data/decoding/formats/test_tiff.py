"""TIFF: channels and numbers that photos do not have keep their values."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.formats.left_out import TIFF_BANDS
from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, noise, tiff, values_of

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first

pytest.importorskip("tifffile")

CONTIGUOUS = {"photometric": "minisblack", "planarconfig": "contig"}
SEPARATE = {"photometric": "minisblack", "planarconfig": "separate"}


@pytest.mark.parametrize("channels", [2, 4, 5, 13])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_channels_keep_their_values(channels, dtype):
    array = noise(24, 20, channels, dtype=np.uint8).astype(dtype)
    assert (values_of(tiff(array, **CONTIGUOUS)) == array).all()
    decoded = decode(tiff(np.moveaxis(array, -1, 0), **SEPARATE))
    assert (decoded.image == array).all()
    assert (decoded.image.dtype, decoded.animated, decoded.alpha) == (dtype, False, False)


@pytest.mark.parametrize(
    "options",
    [{"bigtiff": True}, {"tile": (16, 16)}, {"compression": "zlib", "predictor": 2},
     {"byteorder": ">"}, {"compression": "lzma"}],
    ids=str,
)  # fmt: skip
def test_ways_of_storing(options):
    array = noise(24, 20, 5)
    assert (values_of(tiff(array, **CONTIGUOUS, **options)) == array).all()


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zstd"])
def test_compressions_of_imagecodecs(compression):
    pytest.importorskip("imagecodecs")
    array = noise(24, 20, 5)
    assert (values_of(tiff(array, **CONTIGUOUS, compression=compression)) == array).all()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32", "float32", "float64"])
def test_one_channel_keeps_its_type(dtype, order):
    array = (noise(6, 5).astype(np.int64) - (30_000 if dtype[0] != "u" else 0)).astype(dtype)
    decoded = decode(tiff(array, byteorder=order))
    assert (decoded.image[..., 0] == array).all()
    assert (decoded.image.dtype, decoded.white) == (dtype, None)


def test_signed_bytes_become_int16():
    array = noise(6, 5, dtype=np.int8)
    decoded = decode(tiff(array))
    assert (decoded.image[..., 0] == array).all()
    assert decoded.image.dtype == np.int16


def test_colours_of_16_bits_in_separate_planes():
    """Pillow reads them as noise, without an error."""
    array = noise(24, 20, 3)
    stored = tiff(np.moveaxis(array, -1, 0), photometric="rgb", planarconfig="separate")
    assert (values_of(stored) == array).all()


def test_infrared_beside_red_green_and_blue_is_kept():
    array = noise(24, 20, 4, dtype=np.uint8)
    options = {"photometric": "rgb", "extrasamples": ["unspecified"]}
    decoded = decode(tiff(array, **options))
    assert (decoded.image == array).all() and not decoded.alpha
    planes = tiff(np.moveaxis(array, -1, 0), planarconfig="separate", **options)
    assert (values_of(planes) == array).all()


def test_an_opacity_stays_one():
    array = noise(24, 20, 4, dtype=np.uint8)
    assert decode(tiff(array, photometric="rgb", extrasamples=["unassalpha"])).mode == "RGBA"
    grey = decode(tiff(noise(24, 20, 2), **CONTIGUOUS, extrasamples=["unassalpha"]))
    assert grey.alpha and grey.image.shape == (24, 20, 2)


def test_white_is_zero_is_inverted():
    array = noise(24, 20)
    assert (values_of(tiff(array, photometric="miniswhite"))[..., 0] == 65535 - array).all()


def test_an_array_written_without_options_is_one_image():
    """tifffile writes [H, W, 5] as H pages, and the shape into the description."""
    array = noise(24, 20, 5)
    decoded = decode(tiff(array))
    assert (decoded.image == array).all() and not decoded.animated


def test_of_several_pages_the_first_is_used():
    array = noise(4, 24, 20, 5, dtype=np.uint8)
    decoded = decode(tiff(array, **CONTIGUOUS))
    assert (decoded.image == array[0]).all() and decoded.animated


def test_photos_are_left_to_pillow():
    colours = noise(24, 20, 3, dtype=np.uint8)
    for image in (Image.fromarray(colours), Image.fromarray(colours).convert("CMYK")):
        buffer = io.BytesIO()
        image.save(buffer, "TIFF")
        decoded = decode(buffer.getvalue())
        assert decoded.mode == image.mode and decoded.image.tobytes() == image.tobytes()


def test_without_tifffile_the_reason_names_the_extra(monkeypatch):
    bands, photo = tiff(noise(24, 20, 5), **CONTIGUOUS), tiff(noise(24, 20, 3), photometric="rgb")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UnreadableImageError) as caught:
        decode(bands)
    assert str(caught.value) == TIFF_BANDS.reason
    assert "pip install 'iddm-cli[science]'" in TIFF_BANDS.reason
    assert decode(photo).mode == "uint16 x 3"


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"dtype": "complex64"}, "grey levels"), ({"cut": 200}, "damaged"), ({"cut": 30}, "damaged")],
)
def test_what_cannot_be_read(options, reason):
    content = tiff(noise(24, 20, 5).astype(options.get("dtype", "uint16")), **CONTIGUOUS)
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content[: options.get("cut")])


def test_a_huge_header_is_refused_before_pixels_are_read():
    content = tiff(noise(24, 20, 5), **CONTIGUOUS)
    width = content.index(b"\0\x01\x04\0\x01\0\0\0\x14\0\0\0") + 8
    content = content[:width] + (2**31 - 1).to_bytes(4, "little") + content[width + 4 :]
    with pytest.raises(UnreadableImageError, match="too large"):
        decode(content)
