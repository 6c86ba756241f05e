"""Files that are damaged, or are no images at all: none is used."""

import struct

from PIL import Image

from tests.hostile.zoo.keeper import SOUND, Zoo, cells, encoded, noise

FORMATS = Image.registered_extensions()
DAMAGED = "^damaged: "
NOT_AN_IMAGE = "^not an image"


def cut_in_half(zoo: Zoo) -> None:
    for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif", "ppm"):
        content = encoded(noise(), FORMATS[f".{suffix}"])
        path = zoo.skip(f"broken/half.{suffix}", f"{DAMAGED}|{NOT_AN_IMAGE}")
        path.write_bytes(content[: len(content) // 2])


def cut_to_a_few_bytes(zoo: Zoo) -> None:
    for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif", "ppm"):
        path = zoo.skip(f"broken/stump.{suffix}", f"{DAMAGED}|{NOT_AN_IMAGE}")
        path.write_bytes(encoded(noise(), FORMATS[f".{suffix}"])[:12])


def overwritten(zoo: Zoo) -> None:
    png, webp = encoded(noise(), "PNG"), encoded(noise(), "WEBP", lossless=True)
    jpeg, tiff = encoded(noise(), "JPEG"), encoded(noise(), "TIFF")
    files = {
        "pixels.png": _overwrite(png, len(png) // 2, b"\xff" * 100),
        "chunk.png": _overwrite(png, png.index(b"IDAT"), b"\xebJ%\xbc"),
        "sum.png": _overwrite(png, png.index(b"IHDR") + 17, bytes(4)),
        "none.ppm": b"P6 0 0 255\n",
        "pixels.webp": _overwrite(webp, len(webp) // 4, b"\xff" * (len(webp) // 2)),
        "header.jpg": _overwrite(jpeg, 0, bytes(20)),
        "tables.jpg": _overwrite(jpeg, jpeg.index(b"\xff\xdb") + 2, b"\xff" * 200),
        "folder.tif": _overwrite(tiff, 4, struct.pack("<I", 2**31)),
    }
    for name, content in files.items():
        zoo.skip(f"broken/{name}", f"{DAMAGED}|{NOT_AN_IMAGE}").write_bytes(content)


def _overwrite(content: bytes, place: int, bad: bytes) -> bytes:
    return content[:place] + bad + content[place + len(bad) :]


def commands_for_the_terminal(zoo: Zoo) -> None:
    """Bytes that a reason might quote."""
    chunk = _overwrite(SOUND, SOUND.index(b"IDAT"), b"\x1b[2J")
    zoo.skip("broken/quoted.png", f"{DAMAGED}|{NOT_AN_IMAGE}").write_bytes(chunk)
    header = b"P6 \x1b[31m\xe2\x80\xae 1 255\n"
    zoo.skip("broken/quoted.ppm", f"{DAMAGED}|{NOT_AN_IMAGE}").write_bytes(header)


def empty_and_text(zoo: Zoo) -> None:
    zoo.skip("broken/empty.png", "^the file is empty").touch()
    zoo.skip("broken/text.png", NOT_AN_IMAGE).write_text("A cat, seen from the left.\n")
    zoo.skip("broken/zeros.png", NOT_AN_IMAGE).write_bytes(bytes(1000))
    zoo.skip("broken/notes.txt", NOT_AN_IMAGE).write_text("Not an image, and not named as one.")
    zoo.skip("broken/README", NOT_AN_IMAGE).write_text("Images of cats.\n")


def saved_by_mistake(zoo: Zoo) -> None:
    page = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
    zoo.skip("broken/page.jpg", "web page").write_text(page)
    zoo.skip("broken/page.png", "web page").write_text(f"\n  {page.lower()}")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    zoo.skip("broken/pointer.png", "Git LFS").write_text(pointer)


def formats_that_are_not_read(zoo: Zoo) -> None:
    zoo.skip("broken/program.png", NOT_AN_IMAGE).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    icon = encoded(cells("RGB", [(200, 0, 0)], side=16), "ICO")
    zoo.skip("broken/icon.jpg", NOT_AN_IMAGE).write_bytes(icon)


FAMILIES = (
    *(cut_in_half, cut_to_a_few_bytes, overwritten, commands_for_the_terminal),
    *(empty_and_text, saved_by_mistake, formats_that_are_not_read),
)
