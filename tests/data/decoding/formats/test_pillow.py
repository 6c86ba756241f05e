"""Pillow: ordinary images come as Pillow images, with the properties of their files."""

import io

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import decode_image
from tests.data.decoding.formats.files import decode, noise


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "PPM", "WEBP", "JPEG2000"])
def test_lossless_formats_keep_every_pixel(form):
    image = Image.fromarray(noise(9, 8, 3, dtype=np.uint8)).quantize(16).convert("RGB")
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode(encode(image, form, **options))
    assert decoded.image.convert("RGB").tobytes() == image.tobytes()
    assert (decoded.width, decoded.height, decoded.format) == (8, 9, form)


def test_a_jpeg_is_decoded_smaller_if_that_suffices_and_reports_its_own_size():
    content = encode(Image.new("RGB", (640, 480)), "JPEG")
    decoded = decode_image(io.BytesIO(content), 32)
    assert decoded.image.size == (160, 120)
    assert (decoded.width, decoded.height) == (640, 480)


def test_several_frames_are_reported():
    first, second = Image.new("L", (4, 4), 1), Image.new("L", (4, 4), 200)
    assert decode(encode(first, "GIF", save_all=True, append_images=[second])).animated
    assert not decode(encode(first, "GIF")).animated
