"""Images of every colour mode; what they should look like is worked out by hand."""

import struct

import numpy as np
from PIL import Image, ImageOps

from tests.hostile.zoo.keeper import Zoo, cells, encoded, greys
from tests.hostile.zoo.png import RGB, header, pixels, png

PHOTOMETRIC = 262  # a TIFF's tag; 0 says that 0 is white

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)

# Red is what the black ink leaves, less its share of cyan: C = K = 128 gives
# (255 - 128) * (255 - 128) / 255 = 63.25, and 255 - 128 = 127 where there is no cyan.
INKS = [(0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (128, 0, 0, 128)]
PRINTED = [WHITE, RED, BLACK, (63, 127, 127)]

LOSSY = 4  # levels by which a JPEG of quality 100 may differ

ENTRIES = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


def usual(zoo: Zoo) -> None:
    colour = [(200, 10, 0), (1, 2, 3)]
    for suffix in ("png", "bmp", "tif", "ppm"):
        cells("RGB", colour).save(zoo.use(f"colour/rgb.{suffix}", colour))
        cells("L", [77, 0]).save(zoo.use(f"colour/grey.{suffix}", greys(77, 0)))
    for suffix in ("png", "bmp", "tif"):
        cells("1", [0, 255]).save(zoo.use(f"colour/bit.{suffix}", greys(0, 255)))
    path = zoo.use("colour/rgb.webp", colour)
    cells("RGB", colour).save(path, lossless=True)


def jpegs(zoo: Zoo) -> None:
    """RGB is stored as YCbCr."""
    colour = [(200, 10, 0), (0, 200, 30), (1, 2, 3)]
    path = zoo.use("colour/ycbcr.jpg", colour, near=LOSSY)
    cells("RGB", colour, side=16).save(path, quality=100)
    path = zoo.use("colour/grey.jpg", greys(77, 200), near=LOSSY)
    cells("L", [77, 200], side=16).save(path, quality=100)


def deep_grey(zoo: Zoo) -> None:
    """128 / 257 = 0.498, 129 / 257 = 0.502, 32767 / 257 = 127.498, 65535 / 257 = 255."""
    image = Image.fromarray(np.array([[0, 128, 129, 32767, 65535]], dtype=np.uint16))
    for suffix in ("png", "tif", "pgm"):
        image.save(zoo.use(f"colour/deep.{suffix}", greys(0, 0, 1, 127, 255)))
    path = zoo.use("colour/white_is_zero.tif", greys(255, 255, 254, 128, 0))
    image.save(path, tiffinfo={PHOTOMETRIC: 0})


def deep_colour(zoo: Zoo) -> None:
    """200 * 257 = 51400 and so on, two bytes each behind the row's filter."""
    row = struct.pack(">BHHH", 0, 200 * 257, 10 * 257, 0)
    content = png(header(1, 1, bits=16, kind=RGB), pixels(row))
    zoo.use("colour/deep_colour.png", [(200, 10, 0)]).write_bytes(content)


def transparent(zoo: Zoo) -> None:
    """200 at alpha 100 over white: (200 * 100 + 255 * 155) / 255 = 233.4; 10: 158.9; 0: 155."""
    image = cells("RGBA", [(200, 10, 0, 100), (255, 0, 255, 0), (1, 2, 3, 255)])
    for suffix in ("png", "tif"):
        image.save(zoo.use(f"colour/alpha.{suffix}", [(233, 159, 155), WHITE, (1, 2, 3)]))
    grey = cells("LA", [(200, 100), (77, 0), (77, 255)])
    grey.save(zoo.use("colour/grey_alpha.png", greys(233, 255, 77)))


def palettes(zoo: Zoo) -> None:
    image = cells("P", [0, 1, 2])
    image.putpalette([level for entry in ENTRIES for level in entry])
    for suffix in ("png", "gif"):
        image.save(zoo.use(f"colour/palette.{suffix}", ENTRIES))
        path = zoo.use(f"colour/hole.{suffix}", [ENTRIES[0], WHITE, ENTRIES[2]])
        image.save(path, transparency=1)


def odd_maxima(zoo: Zoo) -> None:
    """Where 51 stands for white, 10 stands for 10 * 255 / 51 = 50."""
    zoo.use("colour/max51.pgm", greys(0, 50, 255)).write_bytes(b"P5 3 1 51\n\x00\x0a\x33")
    zoo.use("colour/max51.ppm", [(0, 50, 255)]).write_bytes(b"P6 1 1 51\n\x00\x0a\x33")
    zoo.use("colour/letters.pgm", greys(77, 0)).write_bytes(b"P2 2 1 255\n77 0\n")


def floats(zoo: Zoo) -> None:
    """0.2 * 255 = 51."""
    values = {"over": [0, 255], "below": [-0.1, 1], "nan": [0.5, np.nan], "inf": [0, np.inf]}
    for name, row in values.items():
        image = Image.fromarray(np.array([row], dtype=np.float32))
        image.save(zoo.skip(f"colour/{name}.tif", "floating-point"))
    image = Image.fromarray(np.array([[0, 0.2, 1]], dtype=np.float32))
    image.save(zoo.use("colour/float.tif", greys(0, 51, 255)))


def whole_numbers(zoo: Zoo) -> None:
    """Of 32 bits, of which nobody knows how many are used."""
    whole = Image.fromarray(np.array([[1, 70_000]], dtype=np.int32))
    whole.save(zoo.skip("colour/whole.tif", "int32"))


def of_television_and_print(zoo: Zoo) -> None:
    """YCbCr (76, 85, 255): red is 76 + 1.402 * 127 = 254, green 76 + 0.344 * 43 - 0.714 * 127 = 0.

    Lab 128: L* is 100 * 128 / 255 = 50.2, Y is ((50.2 + 16) / 116)**3 = 0.186, and sRGB
    255 * (1.055 * 0.186**(1 / 2.4) - 0.055) = 119; a* and b* are 128 where they are none.
    """
    path = zoo.use("colour/ycbcr.tif", [(254, 0, 0), *greys(128)], near=1)
    cells("YCbCr", [(76, 85, 255), (128, 128, 128)]).save(path)
    path = zoo.use("colour/lab.tif", greys(0, 119, 255), near=1)
    cells("LAB", [(0, 128, 128), (128, 128, 128), (255, 128, 128)]).save(path)


def inks(zoo: Zoo) -> None:
    cells("CMYK", INKS).save(zoo.use("colour/cmyk.tif", PRINTED))
    squares = cells("CMYK", INKS, side=16)
    files = {
        "adobe.jpg": encoded(squares, "JPEG", quality=100),
        "plain_inks.jpg": _without_adobe(squares),
        "photoshop.jpg": _as_photoshop(squares),
    }
    for name, content in files.items():
        zoo.use(f"colour/{name}", PRINTED, near=LOSSY).write_bytes(content)


def _inverted(image: Image.Image) -> Image.Image:
    return Image.merge(image.mode, [ImageOps.invert(band) for band in image.split()])


def _without_adobe(image: Image.Image) -> bytes:
    """Inks as they are: the APP14 segment is missing that says they are Adobe's, inverted."""
    content = encoded(_inverted(image), "JPEG", quality=100)
    start = content.index(b"\xff\xee")
    length = int.from_bytes(content[start + 2 : start + 4])
    return content[:start] + content[start + 2 + length :]


def _as_photoshop(image: Image.Image) -> bytes:
    """YCCK, and an APP14 segment that says so: the last of its 16 bytes is 2."""
    cyan, magenta, yellow, black = image.split()
    turned = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr")
    planes = Image.merge("CMYK", (*_inverted(turned).split(), black))
    content = bytearray(encoded(planes, "JPEG", quality=100))
    content[content.index(b"\xff\xee") + 15] = 2
    return bytes(content)


FAMILIES = (
    *(usual, jpegs, deep_grey, deep_colour, transparent, palettes),
    *(odd_maxima, floats, whole_numbers, of_television_and_print, inks),
)
