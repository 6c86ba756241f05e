"""Netpbm: values of 9 to 16 bits, and floating-point numbers, are those of the file."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, noise, values_of


@pytest.mark.parametrize("channels", [1, 3])
def test_12_bits_keep_their_values(channels):
    array = noise(5, 6, channels) % 4096
    magic = b"P5" if channels == 1 else b"P6"
    content = magic + b"\n# made by hand\n6 5\n4095\n" + array.astype(">u2").tobytes()
    decoded = decode(content)
    assert (decoded.image == array).all()
    assert (decoded.white, decoded.image.dtype) == (4095, np.uint16)


def test_8_bits_are_left_to_pillow():
    decoded = decode(b"P6 2 1 255\n" + bytes(range(6)))
    assert isinstance(decoded.image, Image.Image)
    assert decoded.mode == "RGB"


@pytest.mark.parametrize(("scale", "dtype"), [("-1.0", "<f4"), ("1.0", ">f4")])
@pytest.mark.parametrize("magic", [b"Pf", b"PF"])
def test_pfm_has_its_last_row_first(magic, scale, dtype):
    array = np.arange(2 * 3 * (3 if magic == b"PF" else 1), dtype=np.float32).reshape(2, 3, -1)
    content = magic + f"\n3 2\n{scale}\n".encode() + array[::-1].astype(dtype).tobytes()
    assert (values_of(content) == array).all()


@pytest.mark.parametrize("content", [b"P5 6 5 4095\n\0", b"PF 6 5 -1.0\n\0", b"Pf 6 5 x\n\0"])
def test_a_file_that_is_cut_off(content):
    with pytest.raises(UnreadableImageError, match=r"damaged|not an image"):
        decode(content)


def test_a_huge_header_is_refused():
    with pytest.raises(UnreadableImageError, match="too large"):
        decode(b"P6 99999 99999 65535\n")
