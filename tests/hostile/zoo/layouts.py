"""Smaller datasets beside the zoo, each a layout of its own."""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class PeoplesFolder:
    """A dataset as people have it, and what should become of it."""

    name: str
    used: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""
    classes: tuple[str, ...] = ()


PEOPLES_FOLDERS = (
    PeoplesFolder(
        "level",
        used=("PetImages/Cat/1.png", "PetImages/Dog/1.png"),
        left_out=("preview.png",),
        reason="outside the folder around all others",
        note="PetImages is entered",
        classes=("Cat", "Dog"),
    ),
    PeoplesFolder(
        "split",
        used=("training_set/Cat/1.png", "training_set/Dog/1.png"),
        left_out=("test_set/Cat/1.png", "extra/1.png"),
        reason="a split",
        note="a split: only training_set is used",
        classes=("Cat", "Dog"),
    ),
    PeoplesFolder(
        "split inside the classes",
        used=("Cat/train/1.png", "Dog/train/1.png"),
        left_out=("Cat/test/1.png", "Dog/test/1.png"),
        reason="another part of a split",
        note="a split: only train is used; images left out: test (2)",
        classes=("Cat", "Dog"),
    ),
    PeoplesFolder(
        "masks",
        used=("COVID/images/1.png", "Normal/images/1.png", "Normal/images/2.png"),
        left_out=("COVID/masks/1.png", "Normal/masks/1.png", "Normal/images/2_mask.png"),
        reason="mask",
        note="masks: 2 images in 2 folders called masks are left out",
        classes=("COVID", "Normal"),
    ),
    PeoplesFolder(
        "VOC",
        used=("VOC2012/JPEGImages/1.png",),
        left_out=("VOC2012/SegmentationClass/1.png", "VOC2012/SegmentationObject/1.png"),
        reason="masks beside the images",
        note="masks: 2 images in SegmentationClass, SegmentationObject are left out",
    ),
    PeoplesFolder(
        "look-alikes",
        used=("train/1.png", "bus/1.png", "mask/1.png"),
        note="warning: classes that may be parts of a split: train",
        classes=("bus", "mask", "train"),
    ),
)
"""The kinds of layout, one dataset each; what systems add is in places.py."""


def create_peoples_folder(root: Path, kind: PeoplesFolder) -> Path:
    """Create the dataset, each image in another colour."""
    for i, name in enumerate([*kind.used, *kind.left_out]):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8), (9 * i, 200 - i, 0)).save(path)
    return root
