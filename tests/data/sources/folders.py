"""A small folder of images, for the tests of sources."""

from pathlib import Path

from PIL import Image


def make_folder(root: Path) -> Path:
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 4), (number, 0, 0)).save(root / name)
    return root
