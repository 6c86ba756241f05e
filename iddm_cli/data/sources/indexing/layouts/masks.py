"""Masks and annotations: folders of images that describe other images, and are not trained on.

A name alone decides only where it cannot be a class: beside `images`, or `SegmentationClass`. For
others, such as `mask` beside `face`, the names and the headers of the files must agree.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from posixpath import basename

from iddm_cli.data.sources.indexing.layouts.folder_tree import Folder
from iddm_cli.data.sources.indexing.layouts.mask_files import is_label_image, parse_mask_file
from iddm_cli.data.sources.indexing.layouts.splits import PART_OF_WORD, parse_part
from iddm_cli.data.sources.indexing.layouts.words import (
    FILLERS,
    IMAGE_WORDS,
    MAIN_IMAGE_WORDS,
    join_phrases,
    split_words,
    word_set,
)

ReadHead = Callable[[str], bytes]
"""`read_head(path)` returns the first bytes of a file."""

HEADERS_READ = 8
PAIRED_SHARE = 0.5
"""Least share of the masks of a folder that must belong to an image."""
MAX_UNKNOWN = 1
"""Folders of unknown names beside images and masks that do not suggest that all are classes."""
MAX_DOUBTED = 4
"""A folder called mask among more folders than these is one class of many."""


@dataclass(frozen=True)
class MaskRow:
    """Words that name a kind of images about other images."""

    kind: str
    words: str
    is_certain: bool
    """Whether no class has such a name."""

    origin: str


MASK_ROWS = (
    MaskRow("masks", "mask masks msk segmask segmasks", False, "Kaggle, Carvana"),
    MaskRow("masks", "seg segs segmentation segmentations segm semantic", False, "ADE20K, CIHP"),
    MaskRow("masks", "segmentationclass segmentationobject segmentationclassaug", True, "VOC"),
    MaskRow("masks", "groundtruth gtfine gtcoarse", True, "MVTec, ISIC, Cityscapes"),
    MaskRow("masks", "gt gts manual matte mattes alpha parsing", False, "DUTS, DRIVE, matting"),
    MaskRow("masks", "trimap trimaps labelimages labelids instanceids labelmap", True, "Oxford"),
    MaskRow(
        "annotations", "annotation annotations annot annots anno ann anns", True, "ADE20K, CamVid"
    ),
    MaskRow("annotations", "label labels lbl bbox bboxes", False, "YOLO, CamVid"),
    MaskRow("depth maps", "depth depths disparity", False, "NYU, KITTI"),
    MaskRow("thumbnails", "thumbnail thumbnails thumbs preview previews", False, "FFHQ"),
)
KIND_OF_WORD = {word: row for row in MASK_ROWS for word in row.words.split()}
PHRASES = {
    ("ground", "truth"): "groundtruth",
    ("segmentation", "class"): "segmentationclass",
    ("segmentation", "object"): "segmentationobject",
    ("gt", "fine"): "gtfine",
    ("gt", "coarse"): "gtcoarse",
    ("label", "images"): "labelimages",
    ("label", "ids"): "labelids",
}
# Words of classes: face masks, worn or not.
CLASS_WORDS = word_set(
    "with without no non not wearing wear worn face surgical cloth respirator incorrect correct",
    "incorrectly correctly improper proper wrong gas good bad",
)


@dataclass(frozen=True)
class MaskName:
    """What a folder's name says of masks."""

    kind: str
    is_certain: bool
    stem: tuple[str, ...]
    """The remaining words, sorted."""


@dataclass(frozen=True)
class MaskFolders:
    """The folders of masks beside others, and those that may be classes as well."""

    masks: dict[str, str]
    """Kind of each folder that holds masks or the like."""

    doubtful: list[str]


def parse_mask(name: str) -> MaskName | None:
    """Return what masks the name of a folder means; None if it means none."""
    words = join_phrases(split_words(name), PHRASES)
    rows = [row for word in words for row in _rows_of(word)]
    if not rows or CLASS_WORDS & set(words):
        return None
    certain = [row for row in rows if row.is_certain]
    return MaskName((certain or rows)[0].kind, bool(certain), _stem(words))


def is_image_name(name: str) -> bool:
    """Return whether a folder's name says only that it holds images: images, JPEGImages, imgs."""
    words = split_words(name)
    return bool(words) and all(word in IMAGE_WORDS | FILLERS for word in words)


def find_mask_folders(folder: Folder, read_head: ReadHead) -> MaskFolders:
    """Return which of the folders in a folder hold masks of the images beside them."""
    masks = {name: mask for name in folder.folders if (mask := parse_mask(name))}
    if any(_is_worn_or_not(name) for name in folder.folders):
        masks = {}
    others = {name: child for name, child in folder.folders.items() if name not in masks}
    if not others and not folder.images:
        return MaskFolders({}, [])
    stems = {_stem(split_words(name)) for name in others}
    paired = sum(bool(mask.stem) and mask.stem in stems for mask in masks.values())
    found, doubtful = {}, []
    for name, mask in masks.items():
        sure = mask.is_certain or (paired > 1 and mask.stem in stems)
        if (sure and others) or _is_mask_folder(folder, name, others, read_head):
            found[name] = mask.kind
        else:
            doubtful.append(name)
    return MaskFolders(found, doubtful if len(folder.folders) <= MAX_DOUBTED else [])


def find_companions(folders: Iterable[str]) -> list[str]:
    """Return the folders beside a single one called images, where masks lay beside them too."""
    names = list(folders)
    plain = [name for name in names if is_image_name(name)]
    others = [name for name in names if name not in plain and not parse_part(name)]
    return others if len(plain) == 1 and len(others) <= MAX_UNKNOWN else []


def _is_mask_folder(
    folder: Folder, name: str, others: dict[str, Folder], read_head: ReadHead
) -> bool:
    """Return whether a folder whose name might be a class holds masks."""
    masks = folder.folders[name]
    if not others:
        known = len(folder.images) >= masks.count()
        return known or _share_paired(masks, folder.images) >= PAIRED_SHARE
    if _have_images_by_name(others):
        return True
    if masks.folders and set(masks.folders) <= set(others):
        return True
    stem = _stem(split_words(name))
    partners = [
        child for other, child in others.items() if stem and _stem(split_words(other)) == stem
    ]
    if partners and (parse_part(name) or any(_have_same_names(masks, one) for one in partners)):
        return True
    return _has_evidence(masks, partners or list(others.values()), read_head)


def _has_evidence(masks: Folder, others: list[Folder], read_head: ReadHead) -> bool:
    """Return whether file names or headers show that a folder holds masks of other images.

    An equal name is not enough: 1.png is a name in every class, and 1_mask.png is not.
    """
    images = [path for folder in others for path in folder.iter_images()]
    if _share_paired(masks, images, only_affixed=True) >= PAIRED_SHARE:
        return True
    return _are_label_images(masks.iter_images(), read_head) and not _are_label_images(
        images, read_head
    )


def _share_paired(masks: Folder, images: Iterable[str], *, only_affixed: bool = False) -> float:
    """Return the share of the masks that belong to one of the images, by their names."""
    known = {parse_mask_file(basename(path)).image for path in images}
    names = [parse_mask_file(basename(path)) for path in masks.iter_images()]
    paired = sum(name.image in known and (name.is_mask or not only_affixed) for name in names)
    return paired / max(1, len(names))


def _have_same_names(masks: Folder, images: Folder) -> bool:
    """Return whether two folders hold files of the same names, but for affixes and suffixes."""
    names = [
        sorted(parse_mask_file(basename(path)).image for path in folder.iter_images())
        for folder in (masks, images)
    ]
    return names[0] == names[1]


def _are_label_images(paths: Iterable[str], read_head: ReadHead) -> bool:
    """Return whether the first few of these files are label images, by their headers."""
    return all(is_label_image(read_head(path)) for path in islice(paths, HEADERS_READ))


def _have_images_by_name(names: Iterable[str]) -> bool:
    """Return whether the folders beside masks hold their images, by their names.

    So it is where one says it and hardly any other is unknown, or where all are parts of a split.
    """
    images = [n for n in names if is_image_name(n) or MAIN_IMAGE_WORDS & set(split_words(n))]
    others = [name for name in names if name not in images]
    parts = [name for name in others if parse_part(name)]
    unknown = len(others) - len(parts)
    return unknown <= MAX_UNKNOWN if images else unknown == 0


def _is_worn_or_not(name: str) -> bool:
    """Return whether a folder is a class of faces with or without masks: no_mask, withmask."""
    words = split_words(name)
    spaced = bool(CLASS_WORDS & set(words)) and any(map(_has_row, words))
    glued = any(word[:i] in CLASS_WORDS and _has_row(word[i:]) for word in words for i in (2, 4, 7))
    return spaced or glued


def _has_row(word: str) -> bool:
    return any(_rows_of(word))


def _rows_of(word: str) -> Iterator[MaskRow]:
    """Yield the row of a word, also with a part of a split attached: trainannot."""
    for i in range(len(word)):
        if (row := KIND_OF_WORD.get(word[i:])) and (i == 0 or word[:i] in PART_OF_WORD):
            yield row


def _stem(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that are neither fillers nor mean masks, sorted."""
    left = {word for word in words if word not in FILLERS and not any(_rows_of(word))}
    return tuple(sorted(left))
