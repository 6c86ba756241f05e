"""Mask files: `x_mask.png` beside `x.png`, and label images beside photographs of the same name."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_MASK_WORDS = (
    r"masks?|msk|seg(?:mentation)?s?|ground[_ -]?truth|gts?|gt[_-]?(?:fine|coarse)(?:_color)?"
    r"|labels?|lbl|label[_-]?ids|label[_-]?train[_-]?ids|instance[_-]?ids|annotations?|anno"
    r"|trimap|depth|disparity|superpixels|pixels\d+|manual\d*"
)
# Each word above contains one of these, which are found fast in the names of a million files.
_PARTS_OF_MASK_WORDS = (
    *("mask", "msk", "seg", "truth", "gt", "label", "lbl", "ids", "anno", "trimap", "depth"),
    *("disparity", "pixels", "manual"),
)
_IMAGE_WORDS = r"images?|imgs?|im|photo|rgb|orig(?:inal)?|raw|leftimg8bit|sat|scan|frame|color"
_SEPARATOR = r"[ ._\-]+\(?"
_MASK_SUFFIX = re.compile(
    rf"(?P<image>.*?[^ ._\-(])(?:{_SEPARATOR}(?:{_MASK_WORDS})\)?)+(?:[ ._\-]?\(?\d{{1,3}}\)?)?",
    re.IGNORECASE,
)
_MASK_PREFIX = re.compile(rf"(?:(?:{_MASK_WORDS}){_SEPARATOR})+(?P<image>.+)", re.IGNORECASE)
_IMAGE_SUFFIX = re.compile(rf"(?P<image>.+?){_SEPARATOR}(?:{_IMAGE_WORDS})\)?", re.IGNORECASE)
_IMAGE_PREFIX = re.compile(rf"(?:{_IMAGE_WORDS}){_SEPARATOR}(?P<image>.+)", re.IGNORECASE)

TWIN_SHARE = 0.7
"""Least share of the PNG and JPEG files of a folder that must have a twin."""
_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jfif")
_PNG_START = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class MaskFileName:
    """What the name of a file says of masks."""

    image: str
    """Name of the image without suffix and affixes, in lower case."""

    is_mask: bool


def parse_mask_file(name: str) -> MaskFileName:
    """Return which image a file is a mask of, or is, by its name."""
    stem = name.rpartition(".")[0] or name
    for pattern in (_MASK_SUFFIX, _MASK_PREFIX):
        if found := pattern.fullmatch(stem):
            return MaskFileName(_strip_image_word(found["image"]), is_mask=True)
    return MaskFileName(_strip_image_word(stem), is_mask=False)


def find_mask_files(paths: Iterable[str]) -> list[str]:
    """Return the files of one folder that are masks of other files in it, by their names."""
    base_names = {path: path.rpartition("/")[2] for path in paths}
    text = "\n".join(base_names.values()).lower()
    if not any(word in text for word in _PARTS_OF_MASK_WORDS):
        return []
    names = {path: parse_mask_file(name) for path, name in base_names.items()}
    images = {name.image for name in names.values() if not name.is_mask}
    return [path for path, name in names.items() if name.is_mask and name.image in images]


def find_twins(paths: Iterable[str]) -> list[str]:
    """Return the PNG files of one folder that have the name of a JPEG file in it.

    There are none unless most files of both kinds have such a twin.
    """
    lower = [(path, path.lower()) for path in paths]
    photos = {path.rpartition(".")[0] for path, name in lower if name.endswith(_JPEG_SUFFIXES)}
    if not photos:
        return []
    pngs = [path for path, name in lower if name.endswith(".png")]
    twins = [path for path in pngs if path.rpartition(".")[0] in photos]
    return twins if len(twins) >= TWIN_SHARE * max(len(pngs), len(photos)) else []


def is_label_image(head: bytes) -> bool:
    """Return whether a file is a PNG with a palette, or in grey: how label images are stored."""
    if not head.startswith(_PNG_START) or len(head) < 26:
        return False
    depth, colour = head[24], head[25]  # PNG specification, 11.2.1 (IHDR)
    return colour in (0, 3) and depth <= 8


def _strip_image_word(stem: str) -> str:
    for pattern in (_IMAGE_SUFFIX, _IMAGE_PREFIX):
        if found := pattern.fullmatch(stem):
            return found["image"].lower()
    return stem.lower()
