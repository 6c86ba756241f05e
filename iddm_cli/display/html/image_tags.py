"""Images of a page: thumbnails as attributes of img elements, with data: URLs."""

import base64
from typing import Any

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.inspection.thumbnails import Thumbnail

CELL = 72
"""Side of the square that a thumbnail fills on the page, in CSS pixels."""


def image_attributes(thumbnail: Thumbnail, *, cell: int = CELL) -> dict[str, Any]:
    """Return the attributes of a thumbnail's img element.

    Tiny thumbnails are enlarged by whole factors without interpolation.

    Args:
        thumbnail: The thumbnail.
        cell: Side of the square that it fills, in CSS pixels.
    """
    side = max(thumbnail.width, thumbnail.height)
    scale = cell // side if side <= cell else cell / side
    return {
        "name": thumbnail.name,
        "source": encode_source(thumbnail.content, thumbnail.format),
        "width": max(1, round(thumbnail.width * scale)),
        "height": max(1, round(thumbnail.height * scale)),
        "sharp": scale >= 1,
    }


def encode_source(content: bytes, form: str) -> str:
    """Return the data: URL of an image file.

    Args:
        content: The bytes of the file.
        form: png, webp or jpeg.
    """
    return f"data:image/{form};base64,{base64.b64encode(content).decode()}"


def levels_to_image(levels: ndarray) -> Image.Image:
    """Return levels, uint8 or uint16 [C, H, W], as an image of 8 bits.

    One and two channels become greyscale; of three and more, the first three become RGB.
    """
    if levels.dtype == np.uint16:
        levels = np.rint(levels / 257).astype(np.uint8)
    if len(levels) < 3:
        return Image.fromarray(np.ascontiguousarray(levels[0]))
    return Image.fromarray(np.ascontiguousarray(levels[:3].transpose(1, 2, 0)))
