"""Rules on the size trained at: of whole images, or of crops in their place."""

from collections.abc import Iterator

from iddm_cli.profiles.checking.issues import Issue
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.settings import LARGEST_SIDE, DataSettings


def check_image_size(profile: Profile) -> Iterator[Issue]:
    """Yield the issue of a size that the network cannot halve evenly.

    What an encoder does with it is not known before the encoder is found.
    """
    data, divisor = profile.data, profile.size_divisor
    if data.encoder is not None and data.latents is None:
        return
    if all(side % divisor == 0 for side in data.size):
        return
    down = [max(1, side // divisor) * divisor for side in data.size]
    up = [-(-side // divisor) * divisor for side in data.size]
    sizes = [down, up] if max(up) <= LARGEST_SIDE else [down]
    height, width = data.size
    yield Issue(
        ("data", "image_size"),
        f"an image size of {height} x {width} must be divisible by {divisor}: "
        f"{profile.size_divisor_reason}",
        f"Sizes that work: {', '.join(f'{high}x{wide}' for high, wide in sizes)}.",
    )


def check_crops(data: DataSettings) -> Iterator[Issue]:
    """Yield the issues of the settings of crops."""
    yield from _check_whole_size(data)
    if data.crop_size is None:
        if data.crop_position:
            yield Issue(
                ("data", "crop_position"),
                "data.crop_position has no effect without data.crop: whole images lie nowhere else",
                "Set data.crop to the size of the crops, such as 128.",
            )
        if data.crop_scale != DataSettings.model_fields["crop_scale"].default:
            yield Issue(
                ("data", "crop_scale"),
                "data.crop_scale has no effect without data.crop",
                "Set data.crop to the size of the crops, such as 128.",
            )
        return
    if data.crop_size != data.size:
        size = data.image_size if isinstance(data.image_size, int) else [*data.image_size]
        yield Issue(
            ("data", "image_size"),
            f"data.crop: {data.crop} and data.image_size: {size} contradict each other: a network "
            "that trains on crops is trained at their size",
            "Leave data.image_size out.",
        )
    if data.cache == "off":
        yield Issue(
            ("data", "cache"),
            "data.cache: off does not work with data.crop: each crop would decode a whole image",
            "Leave data.cache out.",
        )
    if data.crop_position and data.random_crop < 1:
        yield Issue(
            ("data", "random_crop"),
            "data.random_crop enlarges crops, so data.crop_position would be wrong",
            "Leave data.random_crop out: data.crop takes random places of each image.",
        )


def check_positions(profile: Profile) -> Iterator[Issue]:
    """Yield the issue of a network that cannot read the positions of crops."""
    model = profile.model
    if not profile.data.crop_position:
        return
    reason = ""
    if model.is_autoencoder:
        reason = f"model.network: {model.network}, whose images depend on no place"
    elif model.is_upscaler:
        reason = f"model.condition: {model.condition}, whose smaller image tells what is where"
    if reason:
        yield Issue(
            ("data", "crop_position"),
            f"data.crop_position does not work with {reason}",
            "Leave data.crop_position out.",
        )


def _check_whole_size(data: DataSettings) -> Iterator[Issue]:
    whole, crop = data.whole_size, data.crop_size
    if whole is None:
        return
    if not data.crop_position:
        yield Issue(
            ("data", "whole_size"),
            "data.whole_size has no effect without data.crop_position",
            "Leave it out: a run with data.crop_position records it.",
        )
    elif crop and any(side < length for side, length in zip(whole, crop, strict=True)):
        yield Issue(
            ("data", "whole_size"),
            f"data.whole_size: {whole} is smaller than the crops, {crop[0]} x {crop[1]}",
            "Leave it out: a run records the median size of its images.",
        )
