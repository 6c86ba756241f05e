"""Reading with Pillow: ordinary photos and drawings, turned upright."""

import logging
import struct
import warnings
import zlib
from typing import IO

from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from iddm_cli.data.decoding.formats.deep import extract_values, load_deep
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import (
    UNKNOWN_FORMAT,
    DecodedImage,
    UnreadableImageError,
    check_size,
)

DRAFT_GAP = 3
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size while the result is at least this many times the
size requested. That is several times faster and, after proper resizing, as good (Pillow calls it
reducing_gap)."""

# What Pillow's readers of metadata raise on damaged files: they parse in Python and check little.
METADATA_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, ArithmeticError),
    *(AssertionError, LookupError, EOFError, RuntimeError, MemoryError, struct.error, zlib.error),
)

# Pillow warns of odd metadata, which changes no pixel, and of sizes that are refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:
    """Decode the first frame of an image; see `decode_image`.

    Raises:
        UnreadableImageError: The header is damaged, or the image too large.
    """
    try:
        image: Image.Image = Image.open(handle, formats=row.plugins)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(UNKNOWN_FORMAT) from error
    return finish(image, handle, min_side)


def finish(image: Image.Image, handle: IO[bytes], min_side: int) -> DecodedImage:
    """Decode an image that is open, and turn it upright by its EXIF orientation.

    Args:
        image: The image, of which only the header is read.
        handle: Its file.
        min_side: Number of pixels on each side that suffices; 0 decodes at full size.

    Raises:
        UnreadableImageError: It is too large.
    """
    check_size(*image.size)
    format_name, animated = image.format or "", _is_animated(image)
    if deep := load_deep(image, handle):
        return deep.rotate(_orientation(image)).build(format_name, animated=animated)
    width, height = image.size
    if min_side and format_name == "JPEG":
        image.draft(image.mode, (DRAFT_GAP * min_side, DRAFT_GAP * min_side))
    image.load()
    if format_name == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow assumes that every CMYK JPEG comes from Adobe, which stores inks inverted.
        image.paste(ImageChops.invert(image))
    if _apply_orientation(image):
        width, height = height, width
    if values := extract_values(image):
        return values.build(format_name, animated=animated)
    return DecodedImage(image, width, height, animated, format=format_name)


def _is_animated(image: Image.Image) -> bool:
    """Return whether there is a second frame; damage after the first frame is ignored."""
    try:
        return bool(getattr(image, "is_animated", False))
    except METADATA_ERRORS:
        return False


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 if it is damaged, since the image itself may be intact."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except METADATA_ERRORS:
        return 1


def _apply_orientation(image: Image.Image) -> bool:
    """Apply the EXIF orientation, and return whether height and width were swapped."""
    swapped = _orientation(image) in range(5, 9)
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except METADATA_ERRORS:
        return False
    return swapped
