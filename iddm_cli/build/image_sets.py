"""Image sets of packs: the images of a dataset in memory, to compare generated ones with."""

import hashlib
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from iddm_cli.build.data import build_store
from iddm_cli.data.loader.stores import pixel_dtype
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine import randomness
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.profiles.profile import ResolvedProfile

MOST_REAL = 10_000
"""Real images that are compared with at most."""

MOST_TRAINING = 50_000
"""Training images that are read at most."""

MOST_BYTES = 2 * 2**30
"""Bytes of the pixels of one set."""

READ_AT_ONCE = 256


def load_image_set(
    profile: ResolvedProfile,
    pack: Pack,
    *,
    name: str,
    most: int,
    progress: ProgressCallback = no_progress,
) -> ImageSet:
    """Read the images of a pack; of more than `most`, or of too large ones, a fixed random part.

    Args:
        profile: Where the images are kept, without random crops.
        pack: The dataset, or its held-out part.
        name: What messages and reports call the set.
        most: The largest number of images.
        progress: Called after every block of images.

    Raises:
        DatasetError: The images can no longer be read.
    """
    index = choose_images(pack.count, min(most, max(1, MOST_BYTES // pack.spec.image_bytes)))
    shape = (pack.channels, pack.height, pack.width)
    pixels = torch.empty((len(index), *shape), dtype=pixel_dtype(pack.values))
    with closing(build_store(profile, pack, torch.device("cpu"))) as store:
        for start in range(0, len(index), READ_AT_ONCE):
            block = index[start : start + READ_AT_ONCE]
            pixels[start : start + len(block)] = store.read(block)
            progress("reading real images", start + len(block), len(index))
    names = pack.names
    return ImageSet(
        name=name,
        pixels=pixels,
        labels=torch.from_numpy(pack.labels)[index] if pack.classes else None,
        classes=pack.classes,
        names=tuple(names[i] for i in index.tolist()),
    )


@dataclass(frozen=True)
class RunImages:
    """The real images of a run.

    Attributes:
        real: Those that generated images are compared with: held-out ones, if there are any.
        training: Those that the feature network is trained on, which are others.
        model_training: Those that the model was trained on.
        unseen: Whether the model was not trained on `real`.
    """

    real: ImageSet
    training: ImageSet
    model_training: ImageSet
    unseen: bool


def load_run_images(
    profile: ResolvedProfile,
    pack: Pack,
    *,
    run_name: str,
    progress: ProgressCallback = no_progress,
) -> RunImages:
    """Read the held-out images of a run, and its training images; without any, halves of these.

    Args:
        profile: Where the images are kept, without random crops.
        pack: The dataset of the run.
        run_name: Name of the run.
        progress: Called after every block of images.

    Raises:
        DatasetError: The images can no longer be read.
    """
    name = f"training images of {run_name}"
    training = load_image_set(profile, pack, name=name, most=MOST_TRAINING, progress=progress)
    if pack.held_out is not None:
        held_out = f"held-out images of {run_name}"
        real = load_image_set(
            profile, pack.held_out, name=held_out, most=MOST_REAL, progress=progress
        )
        return RunImages(real, training, training, unseen=True)
    rest, half = split_images(training, 0.5)
    half = half.select(choose_images(len(half), MOST_REAL))
    return RunImages(
        replace(half, name=f"half of the {name}"),
        replace(rest, name=f"other half of the {name}"),
        training,
        unseen=False,
    )


def choose_images(count: int, most: int) -> Tensor:
    """Return the indices of a fixed random part of some images, in order, int64 [min]."""
    if count <= most:
        return torch.arange(count)
    return randomness.permutation(0, "evaluation", step=0, count=count)[:most].sort().values


def digest_images(images: ImageSet) -> list[bytes]:
    """Return a digest of the pixels of each image."""
    rows = images.pixels.contiguous().view(torch.uint8).flatten(1).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def split_images(images: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Divide images by the digests of their pixels: into the rest, and a share of each class.

    Equal images are on the same side. A class of one image is in the rest.

    Args:
        images: The images.
        share: Of each class, from 0 to 0.5.
    """
    digests = digest_images(images)
    labels = [0] * len(images) if images.labels is None else images.labels.tolist()
    is_held_out = torch.zeros(len(images), dtype=torch.bool)
    by_class: dict[int, list[int]] = {}
    for i, label in enumerate(labels):
        by_class.setdefault(label, []).append(i)
    for rows in by_class.values():
        rows.sort(key=lambda i: digests[i])
        count = min(max(1, round(share * len(rows))), len(rows) // 2)
        while count and digests[rows[count]] == digests[rows[count - 1]]:
            count -= 1
        is_held_out[rows[:count]] = True
    return images.select(~is_held_out), images.select(is_held_out)
