"""The keeper of the zoo: each place for a file is asked for together with what is expected."""

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

Colour = tuple[int, int, int]
Row = list[Colour]

# A class folder of broken files alone would be another question: each has a sound image too.
FOLDERS = ("colour", "shape", "broken", "bombs", "formats", "special", "places", "names")


@dataclass
class Zoo:
    """A dataset; the keys are paths below its root, as they are on the disk."""

    root: Path
    outside: Path
    used: dict[str, list[Row] | None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)  # levels by which colours may differ

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self.outside.mkdir()
        for folder in FOLDERS:
            self.use(f"{folder}/sound.png").write_bytes(SOUND)

    def use(self, name: str, *rows: Row, near: int = 0) -> Path:
        """Return the place of an image; it shows equal squares in these colours, if any."""
        self.used[name] = list(rows) or None
        self.near[name] = near
        return self._place(name)

    def skip(self, name: str, reason: str) -> Path:
        """Return the place of what is to be passed over, for a reason of this pattern."""
        self.skipped[name] = reason
        return self._place(name)

    def classes(self) -> Counter[str]:
        """How many images of each class are used."""
        return Counter(name.split("/", 1)[0] for name in self.used)

    def _place(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def greys(*levels: int) -> Row:
    """The colours of grey levels."""
    return [(level, level, level) for level in levels]


def cells(mode: str, *rows: list, side: int = 1) -> Image.Image:
    """An image of flat squares."""
    image = Image.new(mode, (len(rows[0]), len(rows)))
    image.putdata([pixel for row in rows for pixel in row])
    return image.resize((image.width * side, image.height * side), Image.Resampling.NEAREST)


def noise(side: int = 40) -> Image.Image:
    """An image that no format stores in a few bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


SOUND = encoded(cells("RGB", [(10, 20, 30), (40, 50, 60)]), "PNG")
