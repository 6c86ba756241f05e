"""Pictures: from a file that may be broken or hostile to pixels of the size trained at.

Notation:

    tone     grey level from 0 to 255 of what stands behind transparent pixels and padding
    size     (height, width) in pixels; Pillow's own sizes are (width, height)
"""

import logging
import os
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy import ndarray
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from iddm_cli.settings import AspectName, BackgroundName

# MPO, which some cameras write, is opened as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
TONES: dict[BackgroundName, int] = {"white": 255, "black": 0, "grey": 128}
MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_FILE_BYTES = 512 * 2**20
GREY_TOLERANCE = 4
"""Levels by which red, green and blue of a grey picture may differ, after lossy compression."""
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, page 37
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


class UnreadableImage(Exception):  # noqa: N818 (what is wrong is the image)
    """A picture that cannot be learnt from; the message is the reason, a few plain words."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture, upright, and what its file said of it."""

    image: Image.Image
    width: int  # as stored, upright; the image itself may have been decoded smaller
    height: int
    animated: bool  # there are more frames or pages than the first


def open_image(path: Path) -> Image.Image:
    """Decode the first frame of a picture file, turned upright as its EXIF data says.

    Raises:
        UnreadableImage: The file is missing, no picture, damaged, or larger than allowed.
    """
    return decode_file(path).image


def decode_file(path: Path, least: int = 0) -> Decoded:
    """Decode a picture file; see `decode`.

    Raises:
        UnreadableImage: The file is missing, no picture, damaged, or larger than allowed.
    """
    try:
        with _open_regular(path) as handle:
            return decode(handle, least)
    except OSError as error:
        raise UnreadableImage(_reason(error)) from error


def decode(handle: IO[bytes], least: int = 0) -> Decoded:
    """Decode the first frame of a picture, turned upright as its EXIF data says.

    Args:
        handle: The file's bytes.
        least: Pixels of each side that are enough; 0 wants all there are. See DRAFT_GAP.

    Raises:
        UnreadableImage: It is no picture, damaged, or larger than allowed.
    """
    try:
        image: Image.Image = Image.open(handle, formats=FORMATS)
        _check_size(image)
        width, height = image.size
        animated = _is_animated(image)
        if least:
            image.draft(image.mode, (DRAFT_GAP * least, DRAFT_GAP * least))
        image.load()
        if image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info:
            # Pillow takes every CMYK JPEG for Adobe's, whose inks are stored inverted.
            image.paste(ImageChops.invert(image))
        if _turn_upright(image):
            width, height = height, width
        return Decoded(image, width, height, animated)
    except UnidentifiedImageError as error:
        handle.seek(0)
        raise UnreadableImage(_what_else(handle.read(512))) from error
    except _DAMAGE as error:
        raise UnreadableImage(_reason(error)) from error


def _open_regular(path: Path) -> IO[bytes]:
    """Open a file, and nothing that would wait or never end: no FIFO, no device."""
    handle = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    facts = os.fstat(handle.fileno())
    if stat.S_ISREG(facts.st_mode) and 0 < facts.st_size <= MAX_FILE_BYTES:
        return handle
    handle.close()
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableImage("not a regular file")
    if facts.st_size == 0:
        raise UnreadableImage("the file is empty")
    raise UnreadableImage(f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB")


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
        raise UnreadableImage(f"too large: {width}x{height}, at most {MAX_SIDE} on a side")
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"too large: {width}x{height}, at most {MAX_PIXELS:,} pixels")


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


def fit(
    image: Image.Image,
    *,
    size: tuple[int, int],
    channels: Literal[1, 3],
    aspect: AspectName,
    background: BackgroundName,
) -> ndarray:
    """Return a picture as uint8 pixels [height, width, channels] of exactly this size.

    Raises:
        UnreadableImage: The picture's numbers have no known meaning as brightness.
    """
    flat = flatten(image, background).convert("L" if channels == 1 else "RGB")
    return np.array(_reshape(flat, size, aspect, TONES[background])).reshape(*size, channels)


def flatten(image: Image.Image, background: BackgroundName) -> Image.Image:
    """Return an opaque picture of mode L or RGB: 8 bits a value, nothing see-through.

    Raises:
        UnreadableImage: The picture's numbers have no known meaning as brightness.
    """
    image = _eight_bits(image)
    try:
        if image.has_transparency_data:
            return _lay_over(image.convert("RGBA"), TONES[background])
        return image.convert("L" if image.mode in ("1", "L") else "RGB")
    except ValueError as error:
        raise UnreadableImage(f"colours of kind {image.mode} are not read here") from error


def is_grey(flat: Image.Image) -> bool:
    """Look whether all colours of a flattened picture are grey, as often where they need not be."""
    if flat.mode == "L":
        return True
    red, green, blue = flat.split()
    return not any(_differ(a, b) for a, b in ((red, green), (red, blue), (green, blue)))


def _differ(a: Image.Image, b: Image.Image) -> bool:
    beyond = [255 * (level > GREY_TOLERANCE) for level in range(256)]
    return ImageChops.difference(a, b).point(beyond).getbbox() is not None


def _lay_over(image: Image.Image, tone: int) -> Image.Image:
    sheet = Image.new("RGB", image.size, (tone, tone, tone))
    sheet.paste(image, mask=image.getchannel("A"))
    return sheet


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale grey of more than 8 bits to 0..255; Pillow itself would clip it to white."""
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode == "I" and image.format == "PPM":  # Pillow has scaled it to 16 bits
        return _from_16_bits(image)
    if image.mode == "I":
        raise UnreadableImage("32-bit whole numbers, of which no range is known")
    return _from_floats(image) if image.mode == "F" else image


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Divide by 257 and round, which takes 65535 to 255."""
    values = np.asarray(image).astype(np.uint32)
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 65535 - values  # Pillow turns such a TIFF round only up to 8 bits
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    key = image.info.get("transparency")
    if isinstance(key, int):
        opaque = values != key
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _from_floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= 1):  # not: so that NaN is refused as well
        raise UnreadableImage("floating-point numbers outside 0..1")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _reshape(
    image: Image.Image, size: tuple[int, int], aspect: AspectName, tone: int
) -> Image.Image:
    """Bring a picture to this size: crop its middle, pad it, or squash it."""
    if aspect == "crop":
        return _crop(image, size)
    return _pad(image, size, tone) if aspect == "pad" else _resize(image, size)


Box = tuple[float, float, float, float]


def _resize(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> Image.Image:
    """Resize a part of the picture, averaging where it shrinks, so that nothing flickers."""
    height, width = size
    left, top, right, bottom = box or (0, 0, *image.size)
    shrinks = right - left > width or bottom - top > height
    method = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return image.resize((width, height), method, box=(left, top, right, bottom))


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Take the largest middle part of the wanted shape."""
    height, width = size
    box_width = min(image.width, image.height * width / height)
    box_height = min(image.height, image.width * height / width)
    # Whole offsets: half a pixel would blur a picture that needs no resizing at all.
    left, top = int((image.width - box_width) / 2), int((image.height - box_height) / 2)
    return _resize(image, size, (left, top, left + box_width, top + box_height))


def _pad(image: Image.Image, size: tuple[int, int], tone: int) -> Image.Image:
    """Show the whole picture in the middle of a plain sheet."""
    height, width = size
    inner_width = max(1, round(min(width, image.width * height / image.height)))
    inner_height = max(1, round(min(height, image.height * width / image.width)))
    sheet = Image.new(image.mode, (width, height), (tone,) * len(image.getbands()))
    inner = _resize(image, (inner_height, inner_width))
    sheet.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    return sheet
