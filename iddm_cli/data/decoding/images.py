"""Images: pictures decoded from files that may be broken or hostile, upright."""

import logging
import os
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

# MPO, which some cameras write, is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_FILE_BYTES = 512 * 2**20
DRAFT_GAP = 3
"""A large JPEG is decoded at a half, quarter or eighth while that leaves so many times the size
wanted, which is several times faster, and after proper resizing as good (Pillow: reducing_gap)."""

# What Pillow's decoders raise on damaged files: they parse in Python, and check little.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    LookupError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# Pillow remarks on odd metadata, which changes no pixel, and on sizes that are refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnreadableImageError(Exception):
    """A picture that cannot be learnt from; the message is the reason, a few plain words."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded picture, upright, and what its file said of it."""

    image: Image.Image
    width: int  # as stored, upright; the image itself may have been decoded smaller
    height: int
    animated: bool  # there are more frames or pages than the first


def decode_image_file(path: Path, min_side: int = 0) -> DecodedImage:
    """Decode a picture file; see `decode`.

    Raises:
        UnreadableImage: The file is missing, no picture, damaged, or larger than allowed.
    """
    try:
        with _open_regular(path) as handle:
            return decode_image(handle, min_side)
    except OSError as error:
        raise UnreadableImageError(_reason(error)) from error


def decode_image(handle: IO[bytes], min_side: int = 0) -> DecodedImage:
    """Decode the first frame of a picture, turned upright as its EXIF data says.

    Args:
        handle: The file's bytes.
        min_side: Pixels of each side that are enough; 0 wants all there are. See DRAFT_GAP.

    Raises:
        UnreadableImage: It is no picture, damaged, or larger than allowed.
    """
    try:
        image: Image.Image = Image.open(handle, formats=FORMATS)
        _check_size(image)
        width, height = image.size
        animated = _is_animated(image)
        if min_side:
            image.draft(image.mode, (DRAFT_GAP * min_side, DRAFT_GAP * min_side))
        image.load()
        if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
            # Pillow takes every CMYK JPEG for Adobe's, whose inks are stored inverted.
            image.paste(ImageChops.invert(image))
        if _turn_upright(image):
            width, height = height, width
        return DecodedImage(image, width, height, animated)
    except UnidentifiedImageError as error:
        handle.seek(0)
        raise UnreadableImageError(_what_else(handle.read(512))) from error
    except _DAMAGE as error:
        raise UnreadableImageError(_reason(error)) from error


def _open_regular(path: Path) -> IO[bytes]:
    """Open a file, and nothing that would wait or never end: no FIFO, no device."""
    handle = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    facts = os.fstat(handle.fileno())
    if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= MAX_FILE_BYTES:
        return handle
    handle.close()
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableImageError("not a regular file")
    if facts.st_size == 0:
        raise UnreadableImageError("the file is empty")
    raise UnreadableImageError(f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB")


def _is_animated(image: Image.Image) -> bool:
    """Look for a second frame; what is damaged behind the first does no harm."""
    try:
        return bool(getattr(image, "is_animated", False))
    except _DAMAGE:
        return False


def _check_size(image: Image.Image) -> None:
    """Refuse, from the header alone, what would fill the memory when decoded."""
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_SIDE} on a side")
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_PIXELS:,} pixels")


def _turn_upright(image: Image.Image) -> bool:
    """Apply the EXIF orientation, and say whether height and width changed places.

    Damaged EXIF data is no reason to lose a good picture.
    """
    try:
        sideways = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        ImageOps.exif_transpose(image, in_place=True)
    except _DAMAGE:
        return False
    return sideways


def _what_else(start: bytes) -> str:
    """Say what a file is, by its first bytes, that is no picture which can be read."""
    words = start.lstrip().lower()
    if words.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the picture itself; fetch it with: git lfs pull"
    if words.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture: the download failed"
    if words.startswith((b"<svg", b"<?xml")):
        return "a vector drawing or other XML, which is not read"
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "a HEIC photo, which is not read; convert it to JPEG"
    return "not a picture that can be read, or its header is damaged"


def _reason(error: BaseException) -> str:
    """Say in a few plain words why Pillow gave up."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: at most {MAX_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "decoding it needs too much memory"
    words = " ".join(str(error).split())[:100]
    if "MAX_TEXT" in words:
        return "too large: a text inside the file unpacks to far too much"
    return f"damaged: {words}" if words else "damaged"


class ImageHandle(Protocol):
    """One picture, small enough to be sent to another process, and decoded there."""

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode it.

        Args:
            min_side: Pixels of each side that are enough; 0 wants all there are.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
