"""Small files that promise to fill the memory, and files that are no files at all."""

import contextlib
import os
import socket
import struct
import zlib

from tests.hostile.zoo.keeper import SOUND, Zoo
from tests.hostile.zoo.png import GREY, RGB, header, pixels, png

MIB = 2**20


def of_many_pixels(zoo: Zoo) -> None:
    whole = b"IDAT", _zeros_compressed(40_000 * (1 + 40_000 // 8))
    content = png(header(40_000, 40_000, bits=1, kind=GREY), whole)
    zoo.skip("bombs/whole.png", "too large").write_bytes(content)
    for width, height in ((20_000, 20_000), (2**31 - 1, 2**31 - 1), (16_000, 16_000)):
        content = png(header(width, height, bits=8, kind=RGB), pixels(bytes(1000)))
        zoo.skip(f"bombs/{width}x{height}.png", "too large").write_bytes(content)


def of_other_formats(zoo: Zoo) -> None:
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"\x2c"
    frame = struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x08\x01\x00\x00\x3b"
    zoo.skip("bombs/wide.gif", "too large").write_bytes(gif + frame)
    zoo.skip("bombs/wide.ppm", "too large").write_bytes(b"P6 60000 60000 255\n" + bytes(100))


def of_much_text(zoo: Zoo) -> None:
    """Chunks of 100 MiB, stored in about 100 kB."""
    packed = _zeros_compressed(100 * MIB)
    chunks = {
        "text.png": (b"zTXt", b"Comment\0\0" + packed),
        "words.png": (b"iTXt", b"Comment\0\1\0\0\0" + packed),
        "profile.png": (b"iCCP", b"icc\0\0" + packed),
    }
    for name, chunk in chunks.items():
        content = png(header(1, 1, bits=8, kind=GREY), chunk, pixels(bytes(2)))
        zoo.skip(f"bombs/{name}", "too large").write_bytes(content)


def of_many_bytes(zoo: Zoo) -> None:
    """Files with holes, which take no room on the disk."""
    for name, start in {"hole.png": b"", "endless.png": SOUND}.items():
        path = zoo.skip(f"bombs/{name}", "too large")
        path.write_bytes(start)
        os.truncate(path, 2**40)


def no_files(zoo: Zoo) -> None:
    no_file = "not a regular file"
    os.mkfifo(zoo.skip("special/fifo.png", no_file))
    zoo.skip("special/zeros.png", no_file).symlink_to("/dev/zero")
    path = zoo.skip("special/socket.jpg", no_file)
    with socket.socket(socket.AF_UNIX) as ear, contextlib.chdir(path.parent):
        ear.bind(path.name)  # a socket's path must be short


def _zeros_compressed(count: int) -> bytes:
    """Compress zeros without ever holding them all."""
    packer = zlib.compressobj()
    parts = [packer.compress(bytes(MIB)) for _ in range(count // MIB)]
    return b"".join((*parts, packer.compress(bytes(count % MIB)), packer.flush()))


FAMILIES = (of_many_pixels, of_other_formats, of_much_text, of_many_bytes, no_files)
