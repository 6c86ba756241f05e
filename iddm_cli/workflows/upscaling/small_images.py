"""The images that are upscaled: decoded at their own size, as training images are otherwise."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.settings import LARGEST_SIDE, BackgroundName
from iddm_cli.workflows.generating.source_images import (
    MOST_BYTES,
    decode_images,
    match_each_label,
)
from iddm_cli.workflows.upscaling.image_listing import list_every_image

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.data.decoding.images import DecodedImage, ImageHandle
    from iddm_cli.data.decoding.preprocess import PreparedImage, PrepareResult
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.value_range import ValueRange

CLASS_HINT = "Name it: --class NAME, or put the images into folders with the names of classes."


@dataclass(frozen=True)
class SmallImage:
    """An image that is upscaled.

    Attributes:
        name: Its path below the folder, printable.
        label: Its class; the number of classes for none.
        noise: Its noise index, which its pixels decide: so the result depends on no other image.
        planes: Its pixels, uint8 or uint16 [C, h, w].
    """

    name: str
    label: int
    noise: int
    planes: "Tensor"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.planes.shape[1], self.planes.shape[2]


@dataclass(frozen=True)
class OwnSizeSpec:
    """What the pixels of an image depend on, besides its file, whose size they keep."""

    channels: int
    background: BackgroundName
    values: "ValueRange"


@dataclass(frozen=True)
class OpenImage:
    """A handle of an image that is decoded already."""

    decoded: "DecodedImage"

    def open(self, min_side: int = 0) -> "DecodedImage":  # noqa: ARG002
        """Return the image."""
        return self.decoded


def prepare_at_own_size(spec: OwnSizeSpec, handle: "ImageHandle") -> "PrepareResult":
    """Decode one image at its own size; return the reason if that fails."""
    from iddm_cli.data.decoding.images import UnreadableImageError
    from iddm_cli.data.decoding.preprocess import PixelSpec, prepare_image

    try:
        decoded = handle.open()
    except UnreadableImageError as error:
        return str(error)
    size = (decoded.height, decoded.width)
    pixels = PixelSpec(size, spec.channels, "crop", spec.background, spec.values)
    return prepare_image(pixels, OpenImage(decoded))


def load_small_images(
    paths: Sequence[Path],
    profile: "ResolvedProfile",
    values: "ValueRange",
    classes: tuple[str, ...],
    *,
    given: int | None,
    progress: ProgressCallback,
) -> list[SmallImage]:
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
            images.append(_convert(name, known, image, spec))
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


def _convert(name: str, label: int, image: "PreparedImage", spec: OwnSizeSpec) -> SmallImage:
    import torch

    from iddm_cli.data.loader.stores import pixel_dtype

    levels = torch.frombuffer(bytearray(image.planes), dtype=pixel_dtype(spec.values))
    planes = levels.view(spec.channels, image.height, image.width)
    size = f"{image.width}x{image.height}/".encode()
    digest = hashlib.sha256(size + image.digest.encode()).digest()
    return SmallImage(name, label, int.from_bytes(digest[:4], "little"), planes)
