"""The plan of values: how many channels of a dataset are trained, and which range of values.

It follows from the survey of the dataset and from data.channels and data.value_range; see
band_choice.py and range_choice.py.
"""

from dataclasses import dataclass, replace

from iddm_cli.data.decoding.bands import ALPHA_MODES
from iddm_cli.data.values.band_choice import choose_channels, select_groups
from iddm_cli.data.values.range_choice import choose_range, share_clipped
from iddm_cli.data.values.survey import Survey
from iddm_cli.data.values.value_notes import describe_bands, describe_values
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import EIGHT_BIT, ValueRange


@dataclass(frozen=True)
class ValuePlan:
    """How the values of a dataset are trained on.

    Attributes:
        channels: Channels trained.
        values: The range of values.
        clipped: Share of the values outside the range, from 0 to 1.
        notes: What was decided and left out, as sentences for the user.
    """

    channels: int
    values: ValueRange
    clipped: float
    notes: tuple[str, ...]


def plan_values(survey: Survey, settings: DataSettings) -> ValuePlan:
    """Return how the values of a dataset are trained on.

    Raises:
        DatasetError: Its images have no common range, or too many bands.
    """
    channels = choose_channels(survey.groups, settings.channels)
    used = select_groups(survey, channels, settings.channels)
    if not used:
        raise _bands_error(survey, channels)
    values = choose_range(used, channels, settings)
    clipped = share_clipped(used, channels, values)
    notes = (
        *describe_bands(survey.groups, used, channels, settings.channels),
        *describe_values(used, channels, values, clipped, settings),
    )
    return ValuePlan(channels, values, clipped, notes)


def ordinary_range(channels: int) -> ValueRange:
    """Return the range of ordinary images of 8 bits; 2 and 4 channels include their opacity."""
    return replace(EIGHT_BIT, alpha=channels in ALPHA_MODES)


def _bands_error(survey: Survey, channels: int) -> DatasetError:
    found = ", ".join(f"{group.count:,} of {group.bands}" for group in survey.groups) or "none"
    return DatasetError(
        f"data.channels is {channels}, and no image has so many bands (images: {found})",
        "Set data.channels to auto, or to at most the number of bands.",
    )
