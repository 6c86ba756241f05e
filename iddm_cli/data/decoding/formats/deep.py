"""Values of more than 8 bits from files that Pillow reads: it keeps them only for one channel.

Pillow reduces 16-bit colour to the high byte of each value while it unpacks the decoded rows. Such
a file is decoded twice, with raw modes that unpack the high bytes and then the low bytes, so that
no value is lost and no other decoder is needed.
"""

import sys
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.formats.arrays import build_decoded
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size

WHITE_16 = 2**16 - 1
BITS_PER_SAMPLE = 258  # TIFF 6.0, page 29
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # page 37

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER_BYTE = {"L": "B", "B": "L"}


@dataclass(frozen=True)
class Values:
    """The values of an image [H, W, C], and what its header says of them."""

    array: ndarray
    white: int | None = None
    alpha: bool = False

    def rotate(self, orientation: int) -> "Values":
        """Return the values turned upright by an EXIF orientation."""
        array = self.array
        if orientation in range(5, 9):
            array = array.swapaxes(0, 1)
        if orientation in (3, 4, 7, 8):
            array = array[::-1]
        if orientation in (2, 3, 6, 7):
            array = array[:, ::-1]
        return replace(self, array=array)

    def build(self, format: str, *, animated: bool = False) -> DecodedImage:
        """Return the decoded image."""
        return build_decoded(
            self.array, format=format, animated=animated, alpha=self.alpha, white=self.white
        )


def load_deep(image: Image.Image, handle: IO[bytes]) -> Values | None:
    """Decode colour of 16 bits per channel, or return None if the image has none.

    Args:
        image: The image, of which only the header is read.
        handle: Its file.
    """
    raw_mode = _raw_mode(image)
    kind, _, order = raw_mode.replace("16N", f"16{_NATIVE}").partition(";16")
    if kind not in ("RGB", "RGBX", "RGBA", "RGBa", "LA") or order not in _OTHER_BYTE:
        return None
    check_size(*image.size, value_bytes=8)
    if kind == "LA":  # the two bytes of two values are read as four values of one byte
        array = _load_bytes(image, "RGBA", "RGBA").view(">u2").astype(np.uint16)
        return Values(array, WHITE_16, alpha=True)
    mode = "RGB" if kind == "RGB" else "RGBA"
    handle.seek(0)
    again = Image.open(handle, formats=(image.format or "",))
    high = _load_bytes(image, mode, f"{mode};16{order}").astype(np.uint16)
    low = _load_bytes(again, mode, f"{mode};16{_OTHER_BYTE[order]}")
    array = (high << 8) | low
    if kind == "RGBa":
        array = divide_by_alpha(array, WHITE_16)
    key = image.info.get("transparency")
    if kind == "RGB" and isinstance(key, tuple):
        opacity = (array != np.array(key)).any(axis=2, keepdims=True)
        return Values(np.append(array, opacity * np.uint16(WHITE_16), 2), WHITE_16, alpha=True)
    return Values(array, WHITE_16, alpha=kind in ("RGBA", "RGBa"))


def _raw_mode(image: Image.Image) -> str:
    """Return how the rows of the file are packed, by Pillow's name."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _load_bytes(image: Image.Image, mode: str, raw_mode: str) -> ndarray:
    """Decode an image with another raw mode, and return its bytes [H, W, C]."""
    assert hasattr(image, "tile"), "the image comes from a file"
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image._mode = mode
    image.load()
    return np.array(image)


def divide_by_alpha(array: ndarray, white: int) -> ndarray:
    """Return colours that were stored multiplied by their opacity, the last channel, as they are.

    Args:
        array: Unsigned integers [H, W, C].
        white: The opacity that stands for opaque.
    """
    alpha = array[..., -1:].astype(np.uint64)
    colours = array[..., :-1].astype(np.uint64)
    divided = (colours * white + alpha // 2) // np.maximum(alpha, 1)
    array = array.copy()
    array[..., :-1] = np.minimum(divided, white)
    return array


def find_white(bits: int) -> int:
    """Return the largest value of so many bits, at most 16.

    Raises:
        UnreadableImageError: A damaged header gives another number of bits.
    """
    if not 1 <= bits <= 16:
        raise UnreadableImageError(f"damaged: {bits} bits for each value of 16")
    return int(2**bits - 1)


def extract_values(image: Image.Image) -> Values | None:
    """Return the values of a decoded grey image of more than 8 bits; None for all others."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _extract_16_bits(image)  # Pillow has scaled a PPM to 16 bits
    if image.mode == "I":
        return Values(np.array(image, np.int32)[..., None])
    return Values(np.array(image, np.float32)[..., None]) if image.mode == "F" else None


def _extract_16_bits(image: Image.Image) -> Values:
    """Return grey of 9 to 16 bits, with an opacity if one value stands for transparent."""
    values = np.asarray(image).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    white = find_white(tags.get(BITS_PER_SAMPLE, (16,))[0])
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values  # Pillow inverts such a TIFF only up to 8 bits
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return Values(values[..., None], white)
    opacity = np.where(values == key, 0, white).astype(np.uint16)
    return Values(np.stack([values, opacity], axis=2), white, alpha=True)
