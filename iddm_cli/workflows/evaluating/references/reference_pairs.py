"""Pairs of an image and its reference: matched by name, decoded at their own size, measured."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import DatasetError
from iddm_cli.workflows.evaluating.real_images import name_dataset
from iddm_cli.workflows.generating.source_images import ImageFiles
from iddm_cli.workflows.upscaling.image_listing import list_every_image

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.decoding.images import DecodedImage, ImageHandle
    from iddm_cli.evaluation.pair_fidelity import Fidelity, PairFidelity

LISTED = 3
GREY, RGB = 1, 3


@dataclass(frozen=True)
class ReferencePair:
    """An image and its reference.

    Attributes:
        name: Path of the image below its folder.
        image: What opens it.
        reference: What opens the reference.
    """

    name: str
    image: "ImageHandle"
    reference: "ImageHandle"


def measure_references(
    folder: str,
    references: str,
    *,
    size: tuple[int, int] | None,
    most: int | None,
    progress: ProgressCallback,
) -> "tuple[Fidelity, list[str]]":
    """Return how close the images of a folder are to those of the same names in another one.

    Args:
        folder: The folder, or an archive.
        references: The folder of references, or an archive.
        size: Height and width that both are resized to; None: they must have the same.
        most: The largest number of images; None: all.
        progress: Called after every image.

    Returns:
        The numbers, and what to know of them, as sentences.

    Raises:
        UsageError: There is no such folder.
        DatasetError: No image has a reference, one cannot be decoded, or its size is another.
    """
    from iddm_cli.evaluation.pair_fidelity import Fidelity

    pairs, warnings = find_pairs(folder, references)
    measured = _measure(pairs[:most], size, progress)
    fidelity = Fidelity(name_dataset(references), tuple(measured))
    if fidelity.equal:
        warnings.append(
            f"{fidelity.equal:,} of {fidelity.count:,} images equal their references, so their "
            "PSNR is infinite; the mean is that of the others"
        )
    return fidelity, warnings


def find_pairs(folder: str, references: str) -> tuple[list[ReferencePair], list[str]]:
    """Return the images that have a reference, and sentences on those that have none.

    An image and its reference have the same path without its suffix; where no folders agree, the
    same file name.

    Raises:
        UsageError: There is no such folder.
        DatasetError: No image has a reference.
    """
    from iddm_cli.profiles.settings import DataSettings

    data = DataSettings()
    images = list_every_image(Path(folder), "", data)
    known = list_every_image(Path(references), "--references", data)
    rows = match_names(images.names, known.names)
    pairs = [
        ReferencePair(name, handle, known.handles[row])
        for name, handle, row in zip(images.names, images.handles, rows, strict=True)
        if row is not None
    ]
    if not pairs:
        raise DatasetError(
            f"no image of {folder} has the name of one of {references}, such as {known.names[0]}",
            "Give both the same file name; suffixes may differ.",
        )
    return pairs, list(_describe_rest(images, known, rows))


def match_names(names: Sequence[str], references: Sequence[str]) -> list[int | None]:
    """Return the number of each image's reference; None where there is none.

    Args:
        names: Paths of the images.
        references: Paths of the references.
    """
    exact = {name: i for i, name in enumerate(references)}
    by_path, by_file = (_index(references, key) for key in (_drop_suffix, _file_name))
    rows = [exact.get(name, by_path.get(_drop_suffix(name))) for name in names]
    if any(row is not None for row in rows):
        return rows
    own = Counter(map(_file_name, names))
    return [by_file.get(_file_name(name)) if own[_file_name(name)] == 1 else None for name in names]


def _drop_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _file_name(name: str) -> str:
    return PurePosixPath(name).stem


def _index(names: Sequence[str], key: Callable[[str], str]) -> dict[str, int]:
    """Return the number of each key that only one name has."""
    keys = [key(name) for name in names]
    count = Counter(keys)
    return {one: i for i, one in enumerate(keys) if count[one] == 1}


def _describe_rest(
    images: ImageFiles, references: ImageFiles, rows: Sequence[int | None]
) -> list[str]:
    alone = [name for name, row in zip(images.names, rows, strict=True) if row is None]
    used = {row for row in rows if row is not None}
    unused = [name for i, name in enumerate(references.names) if i not in used]
    texts = []
    if alone:
        texts.append(f"images without a reference are left out: {_list_some(alone)}")
    if unused:
        texts.append(f"references without an image are left out: {_list_some(unused)}")
    return texts


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _measure(
    pairs: Sequence[ReferencePair], size: tuple[int, int] | None, progress: ProgressCallback
) -> "list[PairFidelity]":
    from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool, choose_count
    from iddm_cli.evaluation.pair_fidelity import measure_batch
    from iddm_cli.profiles.settings import DataSettings

    measured: list[PairFidelity] = []
    count = min(choose_count(), len(pairs))
    with WorkerPool(count, timeout=DataSettings().timeout) as workers:
        for results in workers.map_ordered(decode_pair, pairs, chunk=4):
            for result in results:
                name = pairs[len(measured)].name
                if isinstance(result, WorkerFailure | str):
                    reason = result.reason if isinstance(result, WorkerFailure) else result
                    raise DatasetError(
                        f"{name} cannot be compared with its reference: {reason}",
                        "Repair the file, or take it out of the folder.",
                    )
                image, reference = (_to_tensor(one, size) for one in result)
                _check_shapes(name, image, reference)
                measured += measure_batch([name], image, reference)
                progress("comparing with references", len(measured), len(pairs))
    return measured


def decode_pair(pair: ReferencePair) -> tuple[ndarray, ndarray] | str:
    """Return an image and its reference from 0 to 1, float32 [H, W, C]; or why that fails."""
    from iddm_cli.data.decoding.images import UnreadableImageError

    try:
        image, reference = (to_unit(one.open()) for one in (pair.image, pair.reference))
    except UnreadableImageError as error:
        return str(error)
    if {image.shape[2], reference.shape[2]} == {GREY, RGB}:
        image, reference = (np.broadcast_to(a, (*a.shape[:2], RGB)) for a in (image, reference))
    return image, reference


def to_unit(decoded: "DecodedImage") -> ndarray:
    """Return the values of an image from 0 (black) to 1 (white), float32 [H, W, C].

    Raises:
        UnreadableImageError: It is unknown which of its values are black and white.
    """
    from iddm_cli.data.decoding.images import UnreadableImageError
    from iddm_cli.data.decoding.resize import flatten_image

    values = decoded.image
    if not isinstance(values, ndarray):
        levels = np.asarray(flatten_image(values, "white"), np.float32) / 255
        return levels.reshape(*levels.shape[:2], -1)
    if decoded.alpha:
        values = values[..., :-1]
    if decoded.white is not None:
        return values.astype(np.float32) / decoded.white
    if values.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.float32)
    raise UnreadableImageError(f"{values.dtype} numbers, whose range is unknown")


def _to_tensor(values: ndarray, size: tuple[int, int] | None) -> "Tensor":
    """Return an image in [-1, 1], float32 [1, C, H, W], resized where a size is given."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.ascontiguousarray(values)).permute(2, 0, 1)[None] * 2 - 1
    if size is None or tuple(x.shape[2:]) == size:
        return x
    return functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(-1, 1)


def _check_shapes(name: str, image: "Tensor", reference: "Tensor") -> None:
    """Check that an image can be compared with its reference.

    Raises:
        DatasetError: It has another size, or other channels.
    """
    if image.shape[1] != reference.shape[1]:
        raise DatasetError(
            f"{name} has {image.shape[1]} channels, and its reference {reference.shape[1]}",
            "Compare images of the same channels.",
        )
    if image.shape != reference.shape:
        sizes = [f"{one.shape[3]} x {one.shape[2]}" for one in (image, reference)]
        raise DatasetError(
            f"{name} has {sizes[0]} pixels, and its reference {sizes[1]}",
            "Compare images of the same size; or resize both: --image-size 64.",
        )
