"""The images that variations start from, decoded exactly as training images are."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.workflows.evaluating.class_matching import list_names, match_classes
from iddm_cli.workflows.evaluating.image_folders import read_class_names

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.decoding.images import ImageHandle
    from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, PrepareResult
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.profiles.settings import DataSettings
    from iddm_cli.value_range import ValueRange

MOST_BYTES = 4 * 2**30
"""Bytes of the pixels of all images."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files that are not decoded yet.

    Attributes:
        names: Their paths below the folder, printable.
        handles: What opens them.
        classes: Names of the classes of the folder; empty without.
        labels: Index of each image's class.
    """

    names: tuple[str, ...]
    handles: "tuple[ImageHandle, ...]"
    classes: tuple[str, ...] = ()
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class SourceImages:
    """The images that variations start from.

    Attributes:
        names: Their paths below the folder, printable.
        labels: The class of the model that each one has; None where that is unknown.
        levels: Their pixels, uint8 or uint16 [N, C, H, W].
        sizes: Width and height of each file in pixels.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    levels: "Tensor"
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.names)


def load_sources(
    path: Path,
    profile: "ResolvedProfile",
    values: "ValueRange",
    classes: tuple[str, ...],
    progress: ProgressCallback,
) -> SourceImages:
    """Decode an image, or the images of a folder, as the training images of a model are.

    Args:
        path: The file, folder or archive.
        profile: The model's profile.
        values: The range of values that it was trained on.
        classes: Its classes.
        progress: Called while images are decoded.

    Raises:
        UsageError: There is no such file.
        DatasetError: An image cannot be decoded.
    """
    from iddm_cli.data.decoding.preprocess import PixelSpec, prepare_image

    data = profile.data
    files = list_images(path, "--from", data)
    spec = PixelSpec(data.size, data.channels, data.aspect, data.background, values)
    if len(files.names) * spec.image_bytes > MOST_BYTES:
        raise UsageError(
            f"--from {path}: {len(files.names):,} images do not fit into the memory",
            f"Take at most {MOST_BYTES // spec.image_bytes:,} of them at a time.",
        )
    images = decode_images(files, partial(prepare_image, spec), data, progress)
    labels = match_labels(files, classes, path)
    return SourceImages(
        files.names, labels, stack_images(images, spec), tuple((i.width, i.height) for i in images)
    )


def list_images(path: Path, option: str, data: "DataSettings") -> ImageFiles:
    """Return an image file, or those of a folder or an archive.

    Args:
        path: The file, folder or archive.
        option: The option that names it; "" for the argument of `iddm upscale`.
        data: The settings by which the folder's layout is understood.

    Raises:
        UsageError: There is no such file.
        DatasetError: The folder contains no image.
    """
    from iddm_cli.data.sources.archive import is_archive
    from iddm_cli.data.sources.folder import FileImage
    from iddm_cli.data.sources.indexing.listing import to_printable
    from iddm_cli.data.sources.registry import open_dataset
    from iddm_cli.data.sources.source import find_existing

    found = find_existing(str(path))
    if found is None:
        raise UsageError(
            f"{option} {to_printable(str(path))}: there is no such file or folder".lstrip(),
            f"Name an image, or a folder of images: {option or 'iddm upscale RUN'} image.png",
        )
    if not found.is_dir() and not is_archive(str(found)):
        handle = FileImage(str(found.parent), found.name)
        return ImageFiles((to_printable(found.name),), (handle,))
    changes = {"path": str(found), "held_out": 0.0, "conditional": "auto"}
    source = open_dataset(data.model_copy(update=changes), require_labels=False)
    items = range(len(source))
    return ImageFiles(
        tuple(source.item_name(i) for i in items),
        tuple(source.image(i) for i in items),
        source.classes,
        tuple(source.labels),
    )


def decode_images(
    files: ImageFiles,
    prepare: "Callable[[ImageHandle], PrepareResult]",
    data: "DataSettings",
    progress: ProgressCallback,
) -> "list[PreparedImage]":
    """Decode images in processes of their own, as a damaged file may hang or crash a decoder.

    Args:
        files: The images.
        prepare: Decodes one of them; must be picklable.
        data: The settings of the processes.
        progress: Called while images are decoded.

    Raises:
        DatasetError: One of them cannot be decoded.
    """
    from iddm_cli.data.decoding.preprocess import PreparedImage
    from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool, choose_count

    images: list[PreparedImage] = []
    count = min(data.workers or choose_count(), len(files.names))
    with WorkerPool(count, timeout=data.timeout) as workers:
        for results in workers.map_ordered(prepare, files.handles, chunk=8):
            for result in results:
                if not isinstance(result, PreparedImage):
                    reason = result.reason if isinstance(result, WorkerFailure) else result
                    raise DatasetError(
                        f"{files.names[len(images)]} cannot be decoded: {reason}",
                        "Repair the file, or take it out of the folder.",
                    )
                images.append(result)
            progress("decoding images", len(images), len(files.names))
    return images


def stack_images(images: "Sequence[PreparedImage]", spec: "PixelSpec") -> "Tensor":
    """Return the pixels of decoded images, uint8 or uint16 [N, C, H, W]."""
    import torch

    from iddm_cli.data.loader.stores import pixel_dtype

    planes = bytearray(b"".join(image.planes for image in images))
    shape = (len(images), spec.channels, *spec.size)
    return torch.frombuffer(planes, dtype=pixel_dtype(spec.values)).view(shape)


def match_labels(files: ImageFiles, classes: tuple[str, ...], path: Path) -> tuple[int, ...] | None:
    """Return the class of the model that each image has; None where one is unknown."""
    if not classes:
        return None
    labels = match_each_label(files, classes, path)
    return None if None in labels else tuple(label or 0 for label in labels)


def match_each_label(files: ImageFiles, classes: tuple[str, ...], path: Path) -> list[int | None]:
    """Return the class of the model that each image has, or None where that is unknown.

    Without class folders it is that of the folder in which all images lie.
    """
    found = path.expanduser().resolve()
    folder = found if found.is_dir() else found.parent
    known = read_class_names(folder if files.classes else folder.parent)
    names = [
        known.get(unicodedata.normalize("NFC", name), name)
        for name in files.classes or (folder.name,)
    ]
    numbers = match_classes(names, classes)
    return [numbers[label] for label in files.labels or [0] * len(files.names)]


def choose_labels(
    sources: SourceImages, given: Sequence[int] | None, classes: tuple[str, ...]
) -> list[list[int]]:
    """Return the classes of each image's variations: those given, or the class that it has.

    Args:
        sources: The images.
        given: The classes that --class names; None without it.
        classes: The classes of the model.

    Raises:
        UsageError: The class of the images is unknown.
    """
    if given is not None:
        return [list(given)] * len(sources)
    if not classes:
        return [[0]] * len(sources)
    if sources.labels is None:
        raise UsageError(
            "--from: the class of these images is not known, since they are in no folder with the "
            f"name of a class ({list_names(classes)})",
            "Name the class of the variations: --class NAME, or --class all for each of them.",
        )
    return [[label] for label in sources.labels]
