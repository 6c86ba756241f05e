"""Masks: which pixels of an image are generated (white), and which are kept (black)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.workflows.generating.source_images import (
    ImageFiles,
    SourceImages,
    decode_images,
    list_images,
    stack_images,
)

if TYPE_CHECKING:
    from torch import Tensor

    from iddm_cli.profiles.profile import ResolvedProfile

WHITE = 128
"""Level from which on a pixel of a mask is white. A mask with grey values is thus cut at half:
a pixel that was half kept would be neither the known one nor a new one."""

SHAPE_TOLERANCE = 0.02
"""Share by which the aspect ratios of an image and its mask may differ, after rounded resizing."""


def load_masks(
    path: Path, sources: SourceImages, profile: "ResolvedProfile", progress: ProgressCallback
) -> "tuple[Tensor, list[str]]":
    """Return which pixels of each image are generated, bool [N, 1, H, W], and the masks' names.

    Masks are resized as the images are; transparent pixels and padding are black.

    Args:
        path: One mask for all images, or a folder of masks with the names of the images.
        sources: The images.
        profile: The model's profile.
        progress: Called while masks are decoded.

    Raises:
        UsageError: There is no such file, an image has no mask, or a mask does not suit its image.
        DatasetError: A mask cannot be decoded.
    """
    from iddm_cli.data.decoding.preprocess import PixelSpec, prepare_image

    data = profile.data.model_copy(update={"layout": "folders"})
    files = list_images(path, "--mask", data)
    rows = _assign(files, sources, is_folder=path.is_dir())
    needed = sorted(set(rows))
    chosen = ImageFiles(
        tuple(files.names[i] for i in needed), tuple(files.handles[i] for i in needed)
    )
    spec = PixelSpec(data.size, 1, data.aspect, "black")
    images = decode_images(chosen, partial(prepare_image, spec), data, progress)
    masks = stack_images(images, spec) >= WHITE
    for name, mask in zip(chosen.names, masks, strict=True):
        if not mask.any():
            raise DatasetError(
                f"mask {name} has no white pixel, so nothing would be generated",
                "Paint white (255) what is to be generated, and black (0) what is kept.",
            )
    positions = [needed.index(row) for row in rows]
    for position, name, size in zip(positions, sources.names, sources.sizes, strict=True):
        mask_size = (images[position].width, images[position].height)
        check_shapes(name, size, chosen.names[position], mask_size)
    return masks[positions], [chosen.names[position] for position in positions]


def _assign(files: ImageFiles, sources: SourceImages, *, is_folder: bool) -> list[int]:
    """Return the number of each image's mask.

    Raises:
        UsageError: An image has none.
    """
    if not is_folder and len(files.names) == 1:
        return [0] * len(sources)
    by_path = {_key(name): i for i, name in enumerate(files.names)}
    by_name = {PurePosixPath(key).name: i for key, i in by_path.items()}
    return [_find(name, by_path, by_name) for name in sources.names]


def _key(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _find(name: str, by_path: Mapping[str, int], by_name: Mapping[str, int]) -> int:
    """Return the number of an image's mask: of the same path, else of the same name."""
    key = _key(name)
    found = by_path.get(key, by_name.get(PurePosixPath(key).name))
    if found is None:
        raise UsageError(
            f"--mask: there is no mask for {name}",
            f"Give the mask the name of its image: {PurePosixPath(key).name}.png",
        )
    return found


def check_shapes(name: str, size: Sequence[int], mask: str, mask_size: Sequence[int]) -> None:
    """Check that an image and its mask have the same aspect ratio.

    Args:
        name: Name of the image.
        size: Its width and height.
        mask: Name of the mask.
        mask_size: Its width and height.

    Raises:
        UsageError: They differ, so that the mask would cover other pixels than it shows.
    """
    ratio = (size[0] * mask_size[1]) / (size[1] * mask_size[0])
    if abs(ratio - 1) > SHAPE_TOLERANCE:
        raise UsageError(
            f"mask {mask} has {mask_size[0]} x {mask_size[1]} pixels, and {name} "
            f"{size[0]} x {size[1]}: their shapes differ",
            "Paint the mask over the image, at its size.",
        )
