"""Images of another size than the model was trained at: whole, or by overlapping windows.

A model of crops computes larger images in windows of the size of a crop; others compute them whole,
unless windows are asked for. Whole, the network has to allow the size. A U-Net is convolutions and
attention over all positions, neither of which knows the image's size; it has to halve evenly. A
Diffusion Transformer computes the position of each patch relative to the image, which it has to
divide evenly.
"""

from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.errors import UsageError
from iddm_cli.profiles.settings import LARGEST_SIDE

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile

FLOAT_BYTES = 4

FURTHEST = 1.5
"""Ratio of the sides of whole images and those trained on from which on iddm warns."""


def set_size(
    profile: "ResolvedProfile",
    size: tuple[int, int],
    *,
    keep_batch: bool,
    windows: bool | None = None,
) -> "ResolvedProfile":
    """Return a profile that generates images of another size; warn of what that means.

    A batch has as many pixels as one of the trained size, so that its memory stays about the same.

    Args:
        profile: The profile of a model.
        size: Height and width in pixels.
        keep_batch: Whether the batch size stays, as --batch-size gives it.
        windows: Whether larger images are computed in windows; None: those of a model of crops are.

    Raises:
        UsageError: The network cannot compute this size.
    """
    trained = profile.data.size
    if size == trained:
        return profile
    windows = profile.data.crop is not None if windows is None else windows
    data = profile.data.model_copy(
        update={
            "image_size": [*size],
            "crop": [*trained] if windows else None,
            "whole_size": choose_whole_size(profile, size),
        }
    )
    check_size(profile, data.window_size or size, size)
    area, trained_area = size[0] * size[1], trained[0] * trained[1]
    sampling = profile.sampling
    if not keep_batch and area > trained_area:
        batch_size = max(1, sampling.batch_size * trained_area // area)
        sampling = sampling.model_copy(update={"batch_size": batch_size})
    if data.window_size is None:
        console.print_warning(
            f"the model was trained at {trained[0]} x {trained[1]} pixels; at {size[0]} x "
            f"{size[1]} it sees more or less of an image at once, so shapes may repeat or be cut "
            "off"
        )
        warn_of_attention(profile, data.diffused_size)
    elif profile.data.crop is None:
        console.print_warning(
            f"the model was trained on whole images; each window of {trained[0]} x {trained[1]} "
            "pixels shows one, so windows suit only textures (--no-windows computes the image "
            "whole)"
        )
    return profile.model_copy(update={"data": data, "sampling": sampling})


def choose_whole_size(profile: "ResolvedProfile", size: tuple[int, int]) -> list[int] | None:
    """Return the size of the whole image of which generated ones are crops; None: no one knows.

    An image larger than a crop is a whole one; a smaller one is a crop, as one of the size of a
    crop is. Warn where a whole image is far from those that the crops of the training lie in.

    Args:
        profile: The profile of the model.
        size: Height and width of the generated images.
    """
    known, trained = profile.data.whole_size, profile.data.size
    fits = all(side <= length for side, length in zip(size, trained, strict=True))
    if not profile.data.crop_position or fits:
        return known
    if known and any(
        max(side, length) > FURTHEST * min(side, length)
        for side, length in zip(size, known, strict=True)
    ):
        console.print_warning(
            f"the model was trained on crops of images of about {known[0]} x {known[1]} pixels, "
            f"and knows where in them it is; at {size[0]} x {size[1]} it sees each place at "
            "another scale, so shapes may be cut off or repeat"
        )
    return [*size]


def check_size(
    profile: "ResolvedProfile", size: tuple[int, int], whole: tuple[int, int] | None = None
) -> None:
    """Check that a network can compute images of a size.

    Args:
        profile: The profile of its model.
        size: Height and width that the network computes.
        whole: Height and width of the image, of which that is a window; None: the same.

    Raises:
        UsageError: It cannot.
    """
    divisor, asked = profile.size_divisor, whole or size
    text = f"--size {asked[0]}x{asked[1]}"
    if max(asked) > LARGEST_SIDE:
        raise UsageError(f"{text}: sides are 1 to {LARGEST_SIDE} pixels", "Write --size 64x96.")
    if min(size) < 1 or max(size) > LARGEST_SIDE:
        raise UsageError(f"{text}: sides are 1 to {LARGEST_SIDE} pixels", "Write --size 64x96.")
    if size[0] % divisor or size[1] % divisor:
        nearest = "x".join(
            str(whole_side if side % divisor == 0 else max(1, round(side / divisor)) * divisor)
            for side, whole_side in zip(size, asked, strict=True)
        )
        raise UsageError(
            f"{text}: height and width must be divisible by {divisor}, which is "
            f"{profile.size_divisor_reason}",
            f"The nearest is --size {nearest}.",
        )


def warn_of_attention(profile: "ResolvedProfile", size: tuple[int, int]) -> None:
    """Warn where the attention of one image may take more than the free memory.

    Attention compares all pairs of positions: at twice the height and width it takes 16 times the
    memory, where a kernel keeps all of its weights.
    """
    from iddm_cli.machine.memory import free_memory

    stride = profile.model.attention_stride
    positions = (size[0] // stride) * (size[1] // stride)
    needed, free = FLOAT_BYTES * positions**2, free_memory().free
    if needed > free:
        console.print_warning(
            f"attention over {positions:,} positions may take {needed / 1e9:.1f} GB for one image, "
            f"and {free / 1e9:.1f} GB of memory are free; choose a smaller --size"
        )
