"""PNG files written chunk by chunk, so that they may hold what no program would write."""

import struct
import zlib

GREY, RGB = 0, 2

Chunk = tuple[bytes, bytes]


def png(*chunks: Chunk) -> bytes:
    """A file of these chunks, and of the last one that each has."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_stored, (*chunks, (b"IEND", b""))))


def header(width: int, height: int, *, bits: int, kind: int) -> Chunk:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)


def pixels(content: bytes) -> Chunk:
    return b"IDAT", zlib.compress(content)


def _stored(chunk: Chunk) -> bytes:
    kind, content = chunk
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
