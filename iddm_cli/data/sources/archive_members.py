"""Members: the files of an archive, each read by itself, from any process."""

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

MOST_DICTIONARY = 2**28
"""Bytes that lzma may want for a zip's member; 7-Zip's strongest setting takes a quarter."""
BEGINNING = 4096
"""Stored bytes from which the first few of a file can be told."""

DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, two lengths at its end

# How to get at most so many bytes of a member, by its method. A raw lzma stream is given the
# header of an .lzma file, which says that its length is not known.
_METHODS: dict[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda packed, most: packed[:most],
    zipfile.ZIP_DEFLATED: lambda packed, most: zlib.decompressobj(-15).decompress(packed, most),
    zipfile.ZIP_BZIP2: lambda packed, most: bz2.BZ2Decompressor().decompress(packed, most),
    zipfile.ZIP_LZMA: lambda packed, most: lzma.LZMADecompressor(
        lzma.FORMAT_ALONE, MOST_DICTIONARY
    ).decompress(packed[4:9] + b"\xff" * 8 + packed[9:], most),
}


@dataclass(frozen=True)
class ArchiveMember:
    """A file of an archive: small enough to be sent to another process, and read there."""

    archive: str
    offset: int
    stored: int  # bytes that it takes in the archive
    size: int

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode it.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        content = self.read()
        if not content:
            raise UnreadableImageError("the file is empty")
        return decode_image(io.BytesIO(content), min_side)

    def read(self, most: int | None = None) -> bytes:
        """Return its bytes.

        Args:
            most: How many are enough; None: all, of which their checksum is right.

        Raises:
            UnreadableImage: It is damaged, or larger than a picture may be.
        """
        if max(self.size, self.stored) > MAX_FILE_BYTES:
            raise UnreadableImageError(
                f"too large: a file of more than {MAX_FILE_BYTES // 2**20} MiB"
            )
        try:
            return self._content(self.size if most is None else min(most, self.size))
        except DAMAGE as error:
            raise UnreadableImageError(
                f"damaged in the archive: {describe_damage(error)}"
            ) from error

    def _content(self, count: int) -> bytes:
        """Return the first bytes, as they are stored."""
        content = self._stored_bytes(self.offset, count)
        if len(content) < count:
            raise EOFError("it is cut off")
        return content

    def _stored_bytes(self, offset: int, count: int) -> bytes:
        with Path(self.archive).open("rb") as handle:
            handle.seek(offset)
            return handle.read(count)


@dataclass(frozen=True)
class ZipMember(ArchiveMember):
    """A file of a zip; `offset` is that of its header.

    It is read here and not by zipfile, which would let every process read the whole table of
    contents, and believes the size that the table gives.
    """

    method: int
    checksum: int

    def _content(self, count: int) -> bytes:
        unpack = _METHODS.get(self.method)
        if unpack is None:
            raise ValueError(f"it is packed by method {self.method}, which is not read")
        header = self._stored_bytes(self.offset, _LOCAL_HEADER.size)
        signature, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\3\4":
            raise ValueError("it is not where the table of contents says")
        start = self.offset + _LOCAL_HEADER.size + name + extra
        if count < self.size:
            return unpack(self._stored_bytes(start, min(self.stored, BEGINNING)), count)
        content = unpack(self._stored_bytes(start, self.stored), count + 1)
        if len(content) != self.size or zlib.crc32(content) != self.checksum:
            raise ValueError("its checksum is wrong")
        return content


def describe_damage(error: BaseException) -> str:
    """Say in a few words what was wrong with an archive or a member."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split()).rstrip(".") or type(error).__name__
