"""HEIC and JPEG XL: plugins of Pillow, from extras, registered when the first such file comes."""

import struct
from dataclasses import dataclass
from typing import IO

from PIL import Image

from iddm_cli.data.decoding.formats import pillow
from iddm_cli.data.decoding.formats.left_out import FORMATS_WITH_EXTRAS
from iddm_cli.data.decoding.formats.packages import import_package
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size

MAX_BOXES = 1000
HEADER_BYTES = 64
DAMAGED = "damaged: its JPEG XL data cannot be decoded"

_SIZE_BITS = (9, 13, 18, 30)
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
"""Width to height by its code in a JPEG XL header (ISO/IEC 18181-1:2024, D.2)."""


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:
    """Decode an image with the plugin of its row.

    Raises:
        UnreadableImageError: The extra is not installed; or it is damaged or too large.
    """
    package = import_package(row.packages[0], FORMATS_WITH_EXTRAS[row.name])
    if row.name == "JPEG XL":
        package.JpegXLImagePlugin.DECODE_THREADS = 0
        return _read_jxl(handle, min_side, row)
    # An embedded thumbnail, which pillow_heif would decode instead, may show another image.
    package.register_heif_opener(thumbnails=False, decode_threads=1)
    return pillow.read(handle, min_side, row)


def _read_jxl(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:
    """Decode a JPEG XL image; the plugin decodes all of it at once, so its size comes first."""
    header = JxlHeader.parse(handle)
    check_size(header.width, header.height, value_bytes=8)
    handle.seek(0)
    try:
        image = Image.open(handle, formats=row.plugins)
    except RuntimeError as error:  # its message names only a way to debug the plugin
        raise UnreadableImageError(DAMAGED) from error
    if header.orientation != 1 and not getattr(image, "jpeg", False):
        image.info.pop("exif", None)  # the decoder has turned the image already
    return pillow.finish(image, handle, min_side)


@dataclass(frozen=True)
class JxlHeader:
    """The beginning of a JPEG XL codestream (ISO/IEC 18181-1:2024, D.2 and D.3)."""

    width: int  # as stored, in pixels
    height: int
    orientation: int  # as in EXIF; the decoder applies it

    @classmethod
    def parse(cls, handle: IO[bytes]) -> "JxlHeader":
        """Return the header of a file.

        Raises:
            UnreadableImageError: It is damaged.
        """
        start = handle.read(HEADER_BYTES)
        if not start.startswith(b"\xff\x0a"):
            start = _find_codestream(handle)
        if not start.startswith(b"\xff\x0a"):
            raise UnreadableImageError(DAMAGED)
        bits = _Bits(start[2:])
        width, height = _parse_size(bits)
        all_default = bits.take(1)
        orientation = 1 + bits.take(3) if not all_default and bits.take(1) else 1
        return cls(width, height, orientation)


class _Bits:
    """Reads numbers of some bits each, the lowest bit of each byte first."""

    def __init__(self, content: bytes) -> None:
        self._rest = int.from_bytes(content, "little")

    def take(self, count: int) -> int:
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value


def _parse_size(bits: _Bits) -> tuple[int, int]:
    """Return width and height."""
    small = bits.take(1)

    def take_side() -> int:
        return 8 * (1 + bits.take(5)) if small else 1 + bits.take(_SIZE_BITS[bits.take(2)])

    height = take_side()
    ratio = bits.take(3)
    if ratio == 0:
        return take_side(), height
    numerator, denominator = _RATIOS[ratio]
    return height * numerator // denominator, height


def _find_codestream(handle: IO[bytes]) -> bytes:
    """Return the beginning of the codestream in a container of boxes; b"" without one."""
    offset = 0
    for _ in range(MAX_BOXES):
        handle.seek(offset)
        header = handle.read(16)
        if len(header) < 8:
            break
        size, kind = struct.unpack(">I4s", header[:8])
        begin = 8
        if size == 1 and len(header) == 16:
            size, begin = struct.unpack(">Q", header[8:])[0], 16
        if kind in (b"jxlc", b"jxlp"):
            handle.seek(offset + begin + 4 * (kind == b"jxlp"))
            return handle.read(HEADER_BYTES)
        if size < begin:
            break
        offset += size
    return b""
