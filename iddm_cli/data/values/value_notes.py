"""What the user is to know of a dataset's values: what was decided, and what was left out."""

from collections.abc import Iterator, Sequence

from iddm_cli.data.decoding.preprocess import VOID
from iddm_cli.data.values.range_choice import find_labels, merge_tables
from iddm_cli.data.values.survey import ValueGroup
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import ValueRange, format_value


def describe_bands(
    groups: Sequence[ValueGroup], used: Sequence[ValueGroup], channels: int, wanted: int | str
) -> Iterator[str]:
    """Yield which bands and images are left out.

    Args:
        groups: All images.
        used: Those that are trained on.
        channels: Channels trained.
        wanted: The setting data.channels.
    """
    for group in groups:
        if group not in used:
            hint = (
                "data.channels: 3 trains on the first three of all"
                if _offers_3(groups)
                else ("data.channels chooses another number")
            )
            yield (
                f"{_count(group.count)} of {group.bands} bands skipped: training uses {channels}; "
                f"{hint}"
            )
        elif group.bands > channels and (group.bands, channels) != (3, 1):
            kept = "the first band" if channels == 1 else f"the first {channels}"
            yield (
                f"{_count(group.count)} of {group.bands} bands: only {kept} used "
                f"(data.channels is {wanted})"
            )


def _offers_3(groups: Sequence[ValueGroup]) -> bool:
    return all(group.bands >= 3 or group.bands == 1 for group in groups)


def describe_values(
    used: Sequence[ValueGroup],
    channels: int,
    values: ValueRange,
    clipped: float,
    settings: DataSettings,
) -> Iterator[str]:
    """Yield what is unusual about the values of the images that are trained on."""
    deep = [group for group in used if group.dtype != "uint8"]
    if values.is_8_bit and deep:
        yield from _describe_reduced(deep)
    if all(group.multiples for group in used):
        yield "16 bits that hold 8 (all values are multiples of 257)"
    labels = find_labels(used)
    if settings.value_range == "auto" and not values.is_8_bit and labels:
        yield f"only {len(labels)} different values, as in images of labels"
    elif labels - {0, VOID} and VOID in labels:
        top = max(labels - {VOID})
        yield (
            f"only {len(labels)} different values, up to {top} and {VOID}, as in images of labels: "
            f"they are nearly black; data.value_range: [0, {top}] makes them distinct, and "
            f"{VOID} becomes {top}"
        )
    if clipped:
        yield f"{clipped:.2%} of the values are outside, and clipped"
    missing = sum(group.missing * group.count for group in used) / sum(g.count for g in used)
    if missing:
        yield f"{missing:.2%} of the values are missing (NaN, infinity, no data) and become low"
    if not values.is_8_bit:
        yield from _describe_constant(used, channels)


def _describe_reduced(deep: Sequence[ValueGroup]) -> Iterator[str]:
    for group in deep:
        if group.white or (group.table.min() >= 0 and group.table.max() <= 1):
            yield f"{_count(group.count)} of more than 8 bits reduced to 8, as the others"
        else:
            yield f"{_count(group.count)} of {group.dtype} skipped: the others have 8 bits"


def _describe_constant(used: Sequence[ValueGroup], channels: int) -> Iterator[str]:
    tables = merge_tables(used, channels)
    constant = [i for i, table in enumerate(tables) if table[0] == table[-1]]
    if len(constant) == len(tables):
        yield f"every value is {format_value(float(tables[0][0]))}: there is nothing to learn"
    elif constant:
        names = ", ".join(str(i + 1) for i in constant)
        yield f"band {names} holds one value only"


def _count(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
