"""Sample grids in a page: as small as the page needs."""

import io
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from iddm_cli.display.html.image_tags import encode_source

LARGEST_PIXELS = 40_000_000
MAX_HEIGHT = 2400
QUALITIES = (90, 75, 50)
SMALLEST_SIDE = 64


def embed_grid(path: Path, budget: float) -> dict[str, Any] | None:
    """Return the attributes of a grid's img element; None if it cannot be read.

    Rows below MAX_HEIGHT pixels are cut off.

    Args:
        path: The PNG file.
        budget: Number of bytes that it may take.
    """
    image = _open(path)
    if image is None:
        return None
    is_cut = image.height > MAX_HEIGHT
    image = image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT)))
    content, form = _encode(image, budget)
    return {
        "source": encode_source(content, form),
        "width": image.width,
        "height": image.height,
        "is_cut": is_cut,
    }


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > LARGEST_PIXELS:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _encode(image: Image.Image, budget: float) -> tuple[bytes, str]:
    """Return the bytes of a lossless image if they fit, else those of the best that does."""
    content = _save(image, "png")
    if len(content) <= budget:
        return content, "png"
    while True:
        for quality in QUALITIES:
            content = _save(image, "webp", quality)
            if len(content) <= budget:
                return content, "webp"
        if min(image.size) <= SMALLEST_SIDE:
            return content, "webp"
        image = image.reduce(2)


def _save(image: Image.Image, form: str, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, quality=quality)
    return buffer.getvalue()
