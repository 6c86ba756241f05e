"""Smaller datasets beside the zoo, each a layout of its own."""

from pathlib import Path

from PIL import Image

from tests.hostile.zoo.keeper import SOUND, encoded


def create_thousand_classes(root: Path) -> list[str]:
    """Create one image in each of 1,000 class folders, and return the names of the classes."""
    names = [f"kind {number:03d}" for number in range(1000)]
    content = encoded(Image.new("RGB", (4, 4), (200, 10, 0)), "PNG")
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "1.png").write_bytes(content)
    return names


def create_split(root: Path) -> Path:
    """Create two classes in a training part, two images of each, and one in a validation part."""
    for name in ("train/cat/1", "train/cat/2", "train/dog/1", "train/dog/2", "val/cat/1"):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SOUND)
    return root
