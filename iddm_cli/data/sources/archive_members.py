"""Members: the files of an archive, each readable on its own from any process."""

import bz2
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.data.decoding.images import (
    MAX_FILE_BYTES,
    DecodedImage,
    UnreadableImageError,
    decode_image,
)

MAX_DICTIONARY_BYTES = 2**28
"""Limit of an LZMA dictionary in a zip; the strongest setting of 7-Zip needs a quarter."""
PREFIX_BYTES = 4096
"""Stored bytes that are read to decompress the first few bytes of a file."""

ARCHIVE_ERRORS = (
    *(OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, two lengths at its end

# How to decompress at most `limit` bytes of a member, by its compression method. A raw LZMA stream
# gets the header of an .lzma file, which declares its length unknown.
_DECOMPRESSORS: dict[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda packed, limit: packed[:limit],
    zipfile.ZIP_DEFLATED: lambda packed, limit: zlib.decompressobj(-15).decompress(packed, limit),
    zipfile.ZIP_BZIP2: lambda packed, limit: bz2.BZ2Decompressor().decompress(packed, limit),
    zipfile.ZIP_LZMA: lambda packed, limit: lzma.LZMADecompressor(
        lzma.FORMAT_ALONE, MAX_DICTIONARY_BYTES
    ).decompress(packed[4:9] + b"\xff" * 8 + packed[9:], limit),
}


@dataclass(frozen=True)
class ArchiveMember:
    """A file of an archive: cheap to send to another process, which reads it there."""

    archive: str
    offset: int
    stored_size: int  # bytes in the archive
    size: int

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode the file; see `ImageHandle.open`."""
        content = self.read()
        if not content:
            raise UnreadableImageError("the file is empty")
        return decode_image(io.BytesIO(content), min_side)

    def read(self, limit: int | None = None) -> bytes:
        """Return the content of the file.

        Args:
            limit: Number of bytes that suffice; None reads all and verifies their checksum.

        Raises:
            UnreadableImageError: It is damaged, or larger than an image may be.
        """
        if max(self.size, self.stored_size) > MAX_FILE_BYTES:
            raise UnreadableImageError(
                f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB"
            )
        try:
            return self._read_content(self.size if limit is None else min(limit, self.size))
        except ARCHIVE_ERRORS as error:
            raise UnreadableImageError(
                f"damaged in the archive: {describe_damage(error)}"
            ) from error

    def _read_content(self, count: int) -> bytes:
        """Return the first `count` bytes of the file."""
        content = self._read_stored(self.offset, count)
        if len(content) < count:
            raise EOFError("it is incomplete")
        return content

    def _read_stored(self, offset: int, count: int) -> bytes:
        with Path(self.archive).open("rb") as handle:
            handle.seek(offset)
            return handle.read(count)


@dataclass(frozen=True)
class ZipMember(ArchiveMember):
    """A file of a zip; `offset` is that of its header.

    It is not read with zipfile, which would make every process read the whole table of contents,
    and which trusts the size given there.
    """

    method: int
    checksum: int

    def _read_content(self, count: int) -> bytes:
        decompress = _DECOMPRESSORS.get(self.method)
        if decompress is None:
            raise ValueError(f"compression method {self.method} is not supported")
        header = self._read_stored(self.offset, _LOCAL_HEADER.size)
        signature, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\3\4":
            raise ValueError("its header is not where the table of contents says")
        start = self.offset + _LOCAL_HEADER.size + name + extra
        if count < self.size:
            return decompress(self._read_stored(start, min(self.stored_size, PREFIX_BYTES)), count)
        content = decompress(self._read_stored(start, self.stored_size), count + 1)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise ValueError("its checksum is wrong")
        return content


def describe_damage(error: BaseException) -> str:
    """Return a short phrase for an error in an archive or a member."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.split()).rstrip(".") or type(error).__name__
