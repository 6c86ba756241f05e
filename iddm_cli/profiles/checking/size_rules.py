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
    if data.crop_size is None:
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
