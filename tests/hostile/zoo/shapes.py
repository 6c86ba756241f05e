"""Images turned by EXIF data, of several frames, and of odd shapes: all are used."""

from PIL import Image

from tests.hostile.zoo.colours import LOSSY
from tests.hostile.zoo.keeper import Zoo, cells

# The corners of an upright image, row by row, and the order in which each orientation stores
# them: 6, say, has the right column for its first row, from top to bottom, and then the left.
CORNERS = {"A": (200, 0, 0), "B": (0, 200, 0), "C": (0, 0, 200), "D": (200, 200, 200)}
STORED = {
    **{1: "ABCD", 2: "BADC", 3: "DCBA", 4: "CDAB"},
    **{5: "ACBD", 6: "BDAC", 7: "DBCA", 8: "CADB"},
}
UPRIGHT = ([CORNERS["A"], CORNERS["B"]], [CORNERS["C"], CORNERS["D"]])
ORIENTATION = 0x0112

FIRST, SECOND = (250, 0, 0), (0, 0, 250)


def turned(zoo: Zoo) -> None:
    for orientation, order in STORED.items():
        corners = [CORNERS[letter] for letter in order]
        image = cells("RGB", corners[:2], corners[2:], side=16)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = zoo.use(f"shape/turned{orientation}.jpg", *UPRIGHT, near=LOSSY)
        image.save(path, quality=100, exif=exif)
        image.save(zoo.use(f"shape/turned{orientation}.png", *UPRIGHT), exif=exif)


def several_frames(zoo: Zoo) -> None:
    first, second = (cells("RGB", [colour], side=16) for colour in (FIRST, SECOND))
    options = {
        **{"frames.gif": {}, "frames.tif": {}, "frames.png": {"format": "PNG"}},
        "frames.webp": {"lossless": True},
        "frames.jpg": {"format": "MPO", "quality": 100},
    }
    for name, choice in options.items():
        path = zoo.use(f"shape/{name}", [FIRST], near=LOSSY if name == "frames.jpg" else 0)
        first.save(path, save_all=True, append_images=[second], **choice)


def odd_shapes(zoo: Zoo) -> None:
    cells("RGB", [FIRST]).save(zoo.use("shape/dot.png", [FIRST]))
    for width, height in ((3, 2000), (2000, 3)):
        image = Image.new("RGB", (width, height), FIRST)
        image.save(zoo.use(f"shape/{width}x{height}.png"))


FAMILIES = (turned, several_frames, odd_shapes)
