"""Decode image files that may be damaged or hostile, and turn them upright."""

import logging
import os
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy import ndarray
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from iddm_cli.machine.system_limits import reraise_limit

# MPO, which some cameras write, is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_FILE_BYTES = 512 * 2**20
BITS_PER_SAMPLE = 258  # TIFF 6.0, page 29
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # page 37
DRAFT_GAP = 3
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size while the result is at least this many times the
size requested. That is several times faster and, after proper resizing, as good (Pillow calls it
reducing_gap)."""

# What Pillow's decoders raise on damaged files: they parse in Python and check little.
_DECODER_ERRORS = (
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

# Pillow warns of odd metadata, which changes no pixel, and of sizes that are refused below.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class UnreadableImageError(Exception):
    """An image cannot be decoded; the message is the reason, a short phrase."""


@dataclass(frozen=True)
class DecodedImage:
    """An upright image, with the properties of the file that it was decoded from.

    Attributes:
        image: A Pillow image of 8 bits per channel, of any of its modes; or, for everything else,
            an array [H, W, C] in native byte order: uint8, uint16, int16, uint32, int32, float32 or
            float64. It may be decoded at a smaller size than the file's.
        width: Width of the file, upright, in pixels.
        height: Height of the file, upright, in pixels.
        animated: Whether the file contains further frames or pages.
        format: The name of the file's format; "" if the image was never in a file.
        alpha: Whether the last channel of an array is opacity, from 0 to `white`.
        white: The largest value that an array can hold by the file's header: 255, 4095, 65535; None
            if the header does not say (signed and 32-bit integers, floating-point numbers).
    """

    image: Image.Image | ndarray
    width: int
    height: int
    animated: bool
    format: str = ""
    alpha: bool = False
    white: int | None = None

    @property
    def mode(self) -> str:
        """Pillow's mode; for an array its type, and how many channels it has if not one."""
        if isinstance(self.image, Image.Image):
            return self.image.mode
        channels = self.image.shape[2]
        return self.image.dtype.name if channels == 1 else f"{self.image.dtype.name} x {channels}"


def decode_image_file(path: Path, min_side: int = 0) -> DecodedImage:
    """Decode an image file; see `decode_image`.

    Raises:
        UnreadableImageError: The file is missing, not an image, damaged, or too large.
    """
    try:
        with _open_regular(path) as handle:
            return decode_image(handle, min_side)
    except OSError as error:
        raise UnreadableImageError(_describe_error(error)) from error


def decode_image(handle: IO[bytes], min_side: int = 0) -> DecodedImage:
    """Decode the first frame of an image, and turn it upright by its EXIF orientation.

    Args:
        handle: The file, open for reading.
        min_side: Number of pixels on each side that suffices; 0 decodes at full size. See
            DRAFT_GAP.

    Raises:
        UnreadableImageError: It is not an image, damaged, or too large.
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
            # Pillow assumes that every CMYK JPEG comes from Adobe, which stores inks inverted.
            image.paste(ImageChops.invert(image))
        if _apply_orientation(image):
            width, height = height, width
        values, white = _extract_values(image)
        return DecodedImage(
            values,
            width,
            height,
            animated,
            format=image.format or "",
            alpha=isinstance(values, ndarray) and values.shape[2] == 2,
            white=white,
        )
    except UnidentifiedImageError as error:
        handle.seek(0)
        raise UnreadableImageError(_identify_other_file(handle.read(512))) from error
    except _DECODER_ERRORS as error:
        raise UnreadableImageError(_describe_error(error)) from error


def _open_regular(path: Path) -> IO[bytes]:
    """Open a regular file; a FIFO or device, which may block or never end, is refused."""
    handle = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    status = os.fstat(handle.fileno())
    if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_FILE_BYTES:
        return handle
    handle.close()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("not a regular file")
    if status.st_size == 0:
        raise UnreadableImageError("the file is empty")
    raise UnreadableImageError(f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB")


def _is_animated(image: Image.Image) -> bool:
    """Return whether there is a second frame; damage after the first frame is ignored."""
    try:
        return bool(getattr(image, "is_animated", False))
    except _DECODER_ERRORS:
        return False


def _check_size(image: Image.Image) -> None:
    """Check the size given in the header, before decoding could exhaust memory."""
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_SIDE} on a side")
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_PIXELS:,} pixels")


def _apply_orientation(image: Image.Image) -> bool:
    """Apply the EXIF orientation, and return whether height and width were swapped.

    Damaged EXIF data is ignored: the image itself may be intact.
    """
    try:
        swapped = image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)
        ImageOps.exif_transpose(image, in_place=True)
    except _DECODER_ERRORS:
        return False
    return swapped


def _extract_values(image: Image.Image) -> tuple[Image.Image | ndarray, int | None]:
    """Return an image of more than 8 bits as an array [H, W, C], and its largest possible value."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _extract_16_bits(image)  # Pillow has scaled a PPM to 16 bits
    if image.mode == "I":
        return np.array(image, np.int32)[..., None], None
    if image.mode == "F":
        return np.array(image, np.float32)[..., None], None
    return image, None


def _extract_16_bits(image: Image.Image) -> tuple[ndarray, int]:
    """Return grey of 9 to 16 bits, with an opacity if one value stands for transparent."""
    values = np.asarray(image).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values  # Pillow inverts such a TIFF only up to 8 bits
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return values[..., None], white
    opacity = np.where(values == key, 0, white).astype(np.uint16)
    return np.stack([values, opacity], axis=2), white


def _identify_other_file(start: bytes) -> str:
    """Describe a file that Pillow cannot identify, by its first bytes."""
    beginning = start.lstrip().lower()
    if beginning.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself; download it with: git lfs pull"
    if beginning.startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image: the download failed"
    if beginning.startswith((b"<svg", b"<?xml")):
        return "a vector graphic or other XML, which is not supported"
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "a HEIC photo, which is not supported; convert it to JPEG"
    return "not an image in a supported format, or its header is damaged"


def _describe_error(error: BaseException) -> str:
    """Return a short phrase for an error that Pillow raised."""
    reraise_limit(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: at most {MAX_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "decoding needs too much memory"
    words = " ".join(str(error).split())[:100]
    if "MAX_TEXT" in words:
        return "too large: a compressed text in the file expands beyond the limit"
    return f"damaged: {words}" if words else "damaged"


class ImageHandle(Protocol):
    """A reference to one image: cheap to send to another process, which decodes it there."""

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode the image.

        Args:
            min_side: Number of pixels on each side that suffices; 0 decodes at full size.

        Raises:
            UnreadableImageError: It cannot be decoded.
        """
