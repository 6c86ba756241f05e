"""Decode image files that may be damaged or hostile, and turn them upright."""

import hashlib
import importlib
import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.formats.left_out import find_kind_by_content
from iddm_cli.data.decoding.formats.table import SIGNATURE_BYTES, find_format
from iddm_cli.machine.system_limits import reraise_limit

MAX_PIXELS = 64_000_000
MAX_SIDE = 16_384
MAX_FILE_BYTES = 512 * 2**20
MAX_VALUE_BYTES = 2**30
"""Maximum size of the decoded values of one image: of all channels, in bytes."""


UNKNOWN_FORMAT = "not an image in a supported format, or its header is damaged"
_FORMATS = "iddm_cli.data.decoding.formats"


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
        missing: The value by which the file marks pixels of an array that hold nothing; or None.
        content: Digest of what the image was decoded from, such as the bytes of its file: the same
            at every size, 32 hexadecimal digits; "" if there is none.
    """

    image: Image.Image | ndarray
    width: int
    height: int
    animated: bool
    format: str = ""
    alpha: bool = False
    white: int | None = None
    missing: float | None = None
    content: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as decoded, in pixels."""
        if isinstance(self.image, Image.Image):
            return self.image.size
        return self.image.shape[1], self.image.shape[0]

    @property
    def mode(self) -> str:
        """Pillow's mode; for an array its type, and how many channels it has if not one."""
        if isinstance(self.image, Image.Image):
            return self.image.mode
        channels = self.image.shape[2]
        return self.image.dtype.name if channels == 1 else f"{self.image.dtype.name} x {channels}"

    @property
    def dtype(self) -> str:
        """NumPy's name of the type of its values; uint8 for images of Pillow."""
        return "uint8" if isinstance(self.image, Image.Image) else self.image.dtype.name


def decode_image_file(path: Path, min_side: int = 0) -> DecodedImage:
    """Decode an image file; see `decode_image`.

    Raises:
        UnreadableImageError: The file is missing, not an image, damaged, or too large.
    """
    try:
        with _open_regular(path) as handle:
            return decode_image(handle, min_side)
    except OSError as error:
        raise UnreadableImageError(describe_error(error)) from error


def decode_image(handle: IO[bytes], min_side: int = 0) -> DecodedImage:
    """Decode the first frame of an image, and turn it upright by its EXIF orientation.

    Args:
        handle: The file, open for reading.
        min_side: Number of pixels on each side that suffices; 0 decodes at full size.

    Raises:
        UnreadableImageError: It is not an image, damaged, or too large.
    """
    try:
        start = handle.read(SIGNATURE_BYTES)
        handle.seek(0)
        row = find_format(start)
        if row is None:
            raise UnreadableImageError(_identify_other_file(start))
        content = digest_file(handle)
        handle.seek(0)
        reader = importlib.import_module(f"{_FORMATS}.{row.reader}")
        decoded: DecodedImage = reader.read(handle, min_side, row)
        return replace(decoded, content=content)
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(describe_error(error)) from error


def digest_file(handle: IO[bytes]) -> str:
    """Return the digest of a file, read from where it stands: 32 hexadecimal digits."""
    return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()  # type: ignore[arg-type]


def digest_bytes(content: bytes) -> str:
    """Return the digest that a file of these bytes has."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


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


def check_size(width: int, height: int, value_bytes: int = 0) -> None:
    """Check the size given in the header, before decoding could exhaust memory.

    Args:
        width: In pixels.
        height: In pixels.
        value_bytes: Bytes of one pixel, all channels together; 0 if there are at most 8.

    Raises:
        UnreadableImageError: It is too large, or no size at all.
    """
    if min(width, height) < 1:
        raise UnreadableImageError(f"damaged: a size of {width}x{height}")
    if max(width, height) > MAX_SIDE:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_SIDE} on a side")
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"too large: {width}x{height}, at most {MAX_PIXELS:,} pixels")
    if width * height * value_bytes > MAX_VALUE_BYTES:
        limit = f"at most {MAX_VALUE_BYTES // 2**20} MiB of values"
        raise UnreadableImageError(f"too large: {width}x{height} of {value_bytes} bytes, {limit}")


def _identify_other_file(start: bytes) -> str:
    """Describe a file that cannot be read as an image, by its first bytes."""
    beginning = start.lstrip().lower()
    if beginning.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image itself; download it with: git lfs pull"
    if beginning.startswith((b"<!doctype html", b"<html")):
        return "a web page, not an image: the download failed"
    kind = find_kind_by_content(start)
    return kind.reason if kind else UNKNOWN_FORMAT


def describe_error(error: BaseException) -> str:
    """Return a short phrase for an error that a decoder raised."""
    reraise_limit(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: at most {MAX_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "decoding needs too much memory"
    printable = "".join(letter if letter.isprintable() else " " for letter in str(error))
    words = " ".join(re.sub(" at 0x[0-9a-f]+", "", printable).split())[:100]
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
