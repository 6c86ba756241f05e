"""Folders of generated images: read as the real images are, their classes matched by name."""

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.workflows.evaluating.class_matching import list_names, match_classes
from iddm_cli.workflows.evaluating.image_probes import LARGEST_SIDE, ImageProbe
from iddm_cli.workflows.evaluating.real_images import name_dataset
from iddm_cli.workflows.generating.output.existing_images import read_manifest

if TYPE_CHECKING:
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.workflows.evaluating.real_images import RealImages

MOST_GENERATED = 50_000


def choose_size(probe: ImageProbe) -> tuple[list[int], str]:
    """Return the size at which images are compared, and a note where it is reduced.

    It has LARGEST_SIDE pixels on the longer side at most.
    """
    height, width = probe.height, probe.width
    scale = min(1.0, LARGEST_SIDE / max(height, width))
    size = [max(1, round(side * scale)) for side in (height, width)]
    if scale == 1:
        return size, ""
    return size, (
        f"images of {height} x {width} pixels are compared at {size[0]} x {size[1]} "
        "(--image-size sets another size)"
    )


def load_folder_images(
    folder: str, real: "RealImages", *, most: int | None, progress: "ProgressCallback"
) -> "tuple[ImageSet, RealImages]":
    """Return the images of a folder as the real images are preprocessed, with their classes.

    Args:
        folder: A folder or an archive.
        real: The real images that they are compared with.
        most: The largest number of images to read.
        progress: Called while images are read.

    Returns:
        The images, and the real images, without classes where those of the folder are unknown.

    Raises:
        DatasetError: The folder contains no image that can be decoded.
    """
    from iddm_cli.build.image_sets import load_image_set
    from iddm_cli.data.packs.builder import build_pack
    from iddm_cli.data.sources.registry import open_dataset

    changes = {"path": folder, "held_out": 0.0, "conditional": "auto"}
    profile = real.profile.model_copy(update={"data": real.profile.data.model_copy(update=changes)})
    source = open_dataset(profile.data, require_labels=False)
    pack = build_pack(source, profile.data, values=real.values, progress=progress)
    images = load_image_set(
        profile, pack, name=name_dataset(folder), most=most or MOST_GENERATED, progress=progress
    )
    if len(images) < 2:
        raise DatasetError(
            f"{folder} has {len(images)} image", "An evaluation needs many: at best 1,000 or more."
        )
    if len(images) < pack.count and most is None:
        warning = f"of the {pack.count:,} images of {folder}, {len(images):,} are used"
        real = replace(real, warnings=(*real.warnings, warning))
    return _name_classes(images, real, read_class_names(Path(folder)))


def _name_classes(
    images: "ImageSet", real: "RealImages", folders: Mapping[str, str]
) -> "tuple[ImageSet, RealImages]":
    """Return the images with the labels of the real ones, or both without classes."""
    import torch

    classes = real.real.classes
    if not classes or real.real.labels is None:
        if images.classes:
            text = f"{real.real.name} has no classes: all images are compared without classes"
            real = replace(real, warnings=(*real.warnings, text))
        return replace(images, labels=None, classes=()), real
    names = [folders.get(unicodedata.normalize("NFC", name), name) for name in images.classes]
    numbers = match_classes(names, classes)
    unknown = [name for name, number in zip(names, numbers, strict=True) if number is None]
    if images.labels is None or unknown:
        reason = f"the classes {list_names(unknown)}" if unknown else "no classes"
        text = f"{images.name} has {reason}: all images are compared without classes"
        return replace(images, labels=None, classes=()), real.without_classes(text)
    table = torch.tensor([number or 0 for number in numbers])
    labelled = replace(images, labels=table[images.labels], classes=classes)
    absent = [name for i, name in enumerate(classes) if i not in numbers]
    if absent:
        text = f"{images.name} has no images of these classes: {list_names(absent)}"
        real = replace(real, warnings=(*real.warnings, text))
    return labelled, real


def read_class_names(folder: Path) -> dict[str, str]:
    """Return the class of each folder that `iddm generate` wrote, by its manifest.json.

    Without a valid one it is empty; a class whose name cannot be a folder's has another one there.
    """
    try:
        manifest = read_manifest(folder) or {}
    except UsageError:
        return {}
    classes, images = manifest.get("classes"), manifest.get("images")
    if not isinstance(classes, list) or not isinstance(images, list):
        return {}
    folders = list(dict.fromkeys(image.partition("/")[0] for image in images))
    if len(classes) != len(folders):
        return {}
    names = zip(folders, classes, strict=True)
    return {unicodedata.normalize("NFC", name): str(label) for name, label in names}
