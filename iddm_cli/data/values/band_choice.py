"""The choice of bands: how many channels of a dataset are trained, and which images have them."""

from collections.abc import Sequence

from iddm_cli.data.decoding.bands import ALPHA_MODES
from iddm_cli.data.values.survey import Survey, ValueGroup
from iddm_cli.errors import DatasetError
from iddm_cli.value_range import MAX_CHANNELS


def choose_channels(groups: Sequence[ValueGroup], wanted: int | str) -> int:
    """Return the number of channels: the wanted one, or that of most images.

    Raises:
        DatasetError: They have more bands than can be trained.
    """
    if isinstance(wanted, int):
        return wanted
    if not groups:
        return 3
    if all(group.bands in (1, 3) for group in groups):
        return 1 if all(group.grey for group in groups) else 3
    counts: dict[int, int] = {}
    for group in groups:
        counts[group.bands] = counts.get(group.bands, 0) + group.count
    bands = max(counts, key=lambda bands: (counts[bands], bands))
    if bands > MAX_CHANNELS:
        raise DatasetError(
            f"the images have {bands} bands, and at most {MAX_CHANNELS} can be trained",
            f"Set data.channels to 1 to {MAX_CHANNELS}: the first bands are used.",
        )
    return bands


def select_groups(survey: Survey, channels: int, wanted: int | str) -> list[ValueGroup]:
    """Return the groups of images that are trained with so many channels.

    Args:
        survey: What the values of the dataset are.
        channels: Channels trained.
        wanted: The setting data.channels.
    """
    return [
        group
        for group in survey.groups
        if fits_channels(group.bands, channels, wanted, photograph=group.photograph)
    ]


def fits_channels(bands: int, channels: int, wanted: int | str, *, photograph: bool) -> bool:
    """Return whether images of so many bands can be trained with so many channels."""
    if bands == channels or (bands, channels) in ((1, 3), (3, 1)):
        return True
    if photograph and channels in ALPHA_MODES:
        return isinstance(wanted, int)
    return isinstance(wanted, int) and bands > channels
