"""Write images and read them back as pixels, for the tests of decoding."""

from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import decode_image_file
from iddm_cli.data.decoding.resize import reduce_to_8_bits, to_pixels
from iddm_cli.profiles.settings import BackgroundName


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def colours(
    image: Image.Image | Path, *, channels: int = 3, background: BackgroundName = "white"
) -> ndarray:
    """Pixels at the image's own size; one number a pixel where there is one channel."""
    image = reduce_to_8_bits(decode_image_file(image)) if isinstance(image, Path) else image
    size = (image.height, image.width)
    pixels = to_pixels(image, size=size, channels=channels, aspect="crop", background=background)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*size, channels)
    return pixels[..., 0] if channels == 1 else pixels


def row(mode: str, *pixels: object) -> Image.Image:
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return image
