"""The images that are upscaled: decoded at their own size, as training images are otherwise."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.settings import LARGEST_SIDE
from iddm_cli.workflows.generating.source_images import (
    MOST_BYTES,
    decode_images,
    match_each_label,
)
from iddm_cli.workflows.upscaling.image_listing import list_every_image

if TYPE_CHECKING:
    from iddm_cli.data.decoding.preprocess import PreparedImage
    from iddm_cli.engine.sampling.small_image import SmallImage
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.value_range import ValueRange

CLASS_HINT = "Name it: --class NAME, or put the images into folders with the names of classes."


def load_small_images(
    paths: Sequence[Path],
    profile: "ResolvedProfile",
    values: "ValueRange",
    classes: tuple[str, ...],
    *,
    given: int | None,
    progress: ProgressCallback,
) -> "list[SmallImage]":
    """Decode the images of files, folders and archives.

    Args:
        paths: The files, folders and archives.
        profile: The profile of the model that upscales.
        values: The range of values that it was trained on.
        classes: Its classes.
        given: The class that --class names; None: that of an image's folder.
        progress: Called while images are decoded.

    Raises:
        UsageError: There is no such file, or a class is unknown that the model needs.
        DatasetError: An image cannot be decoded, or is too large.
    """
    from iddm_cli.data.decoding.own_size import OwnSizeSpec, prepare_at_own_size
    from iddm_cli.engine.sampling.small_image import build_small_image

    data = profile.data
    spec = OwnSizeSpec(data.channels, data.background, values)
    images: list[SmallImage] = []
    for path in paths:
        files = list_every_image(path, "", data)
        labels = [given] * len(files.names)
        if given is None and classes:
            labels = match_each_label(files, classes, path)
        prepared = decode_images(files, partial(prepare_at_own_size, spec), data, progress)
        for name, label, image in zip(files.names, labels, prepared, strict=True):
            _check_size(name, image, profile.model.upscale_factor)
            known = _resolve_label(name, label, profile, classes)
            images.append(build_small_image(name, known, image, spec))
        if sum(image.planes.nbytes for image in images) > MOST_BYTES:
            raise UsageError(
                f"{path}: these images do not fit into the memory", "Upscale fewer at a time."
            )
    return images


def _check_size(name: str, image: "PreparedImage", factor: int) -> None:
    """Check that an upscaled image is not larger than images can be.

    Raises:
        DatasetError: It would be.
    """
    if factor * max(image.width, image.height) > LARGEST_SIDE:
        raise DatasetError(
            f"{name} has {image.width} x {image.height} pixels, and {factor} times as many on a "
            f"side are more than {LARGEST_SIDE}",
            "Cut it into parts, or take it out of the folder.",
        )


def _resolve_label(
    name: str, label: int | None, profile: "ResolvedProfile", classes: tuple[str, ...]
) -> int:
    """Return the label of an image: that of its class, or "no label" where it is unknown.

    Raises:
        UsageError: It is unknown, and the model was never trained without labels.
    """
    if label is not None:
        return label
    if classes and profile.training.label_drop == 0:
        raise UsageError(
            f"the class of {name} is not known, and the model was trained with classes alone "
            "(training.label_drop: 0)",
            CLASS_HINT,
        )
    return len(classes)
