"""The choice of the range: which values of a dataset become black and white.

- Ordinary images of 8 bits keep 0 to 255, unless they hold labels: a few low values.
- Deeper values get the range that holds all but 0.1 % of them at each end; where that range is
  nearly the whole one, nothing is clipped at all.
- Images of 1 or 3 bands have one range, which keeps the colours of photographs. Images of 2, 4 and
  more bands have a range for each band, because bands measure different things.
"""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.bands import ALPHA_MODES
from iddm_cli.data.decoding.preprocess import MOST_LABELS
from iddm_cli.data.values.survey import QUANTILES, ValueGroup
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import EIGHT_BIT, HIGHEST_LABEL, ValueRange, format_value

NEARLY_ALL = 1.25
"""If the whole range is at most this many times the range of the percentiles, it is used."""

NEARLY_NOMINAL = 0.9
"""A range that fills this share of a customary one becomes that one."""

MOSTLY = 0.9
"""If this share of the images has 8 bits, the others are treated as they are."""

MUCH = 0.5
"""Whole and other numbers are taken for the same kind if their ranges share this part."""

NOMINAL_FLOATS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
WHITE_16 = 65_535

CONVERT = "Convert the images to one type"
SET_RANGE = "set data.value_range: [low, high], in the units of the files, for all of them"


def choose_range(used: Sequence[ValueGroup], channels: int, settings: DataSettings) -> ValueRange:
    """Return the range of values that is trained on.

    Raises:
        DatasetError: The images have no common range.
    """
    alpha = channels in ALPHA_MODES and all(group.photograph for group in used)
    if settings.value_range != "auto":
        low, high = settings.value_range
        return ValueRange(_common_type(used), (float(low),), (float(high),), alpha)
    types = {group.dtype for group in used}
    if types == {"uint8"}:
        labels = find_label_range(used)
        return (
            ValueRange("uint8", *labels) if labels else ValueRange("uint8", (0.0,), (255.0,), alpha)
        )
    if "uint8" in types or _have_own_whites(used):
        _check_photographs(used)
        return EIGHT_BIT
    if len({np.dtype(name).kind == "f" for name in types}) > 1 and not _overlap(used):
        raise _mixture_error(used)
    return _find_range(used, channels)


def _overlap(used: Sequence[ValueGroup]) -> bool:
    """Return whether the values of all groups lie in about the same range, whatever their type."""
    lows = [float(group.table[:, 1].min()) for group in used]
    highs = [float(group.table[:, -2].max()) for group in used]
    return min(highs) - max(lows) >= MUCH * (max(highs) - min(lows)) > 0


def find_label_range(
    used: Sequence[ValueGroup],
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the range of images of labels; None if they are something else, or all the same."""
    labels = find_labels(used)
    if len(labels) < 2 or max(labels) > HIGHEST_LABEL:
        return None
    return (float(min(labels)),), (float(max(labels)),)


def find_labels(used: Sequence[ValueGroup]) -> set[int]:
    """Return all values of the images, if they are few in every image."""
    labels = {label for group in used for label in group.labels}
    few = all(group.labels for group in used) and len(labels) <= MOST_LABELS
    return labels if few else set()


def _have_own_whites(used: Sequence[ValueGroup]) -> bool:
    """Return whether these are photographs of 12 bits, say, beside others of 16."""
    whites = {group.white for group in used}
    return len(whites) > 1 and all(map(_is_photographic, used))


def _is_photographic(group: ValueGroup) -> bool:
    """Return whether images use the range of their type, as photographs do."""
    whole = group.white > 0 and group.table.max() * 2 >= group.white
    return group.bands in (1, 3) and (group.dtype == "uint8" or bool(whole))


def _check_photographs(used: Sequence[ValueGroup]) -> None:
    """Check that images of 16 bits beside images of 8 bits use the whole range, as photographs do.

    Raises:
        DatasetError: The same number would mean different things in both.
    """
    ordinary = sum(group.count for group in used if group.dtype == "uint8")
    are_few = ordinary >= MOSTLY * sum(group.count for group in used)
    if not are_few and not all(map(_is_photographic, used)):
        raise _mixture_error(used)


def _mixture_error(used: Sequence[ValueGroup]) -> DatasetError:
    by_type: dict[str, list[ValueGroup]] = {}
    for group in used:
        by_type.setdefault(group.dtype, []).append(group)
    kinds = "; ".join(
        f"{sum(g.count for g in same):,} of {dtype}, "
        f"{format_value(min(float(g.table.min()) for g in same))} to "
        f"{format_value(max(float(g.table.max()) for g in same))}"
        for dtype, same in by_type.items()
    )
    return DatasetError(
        f"the images are of types without a common range ({kinds})", f"{CONVERT}, or {SET_RANGE}."
    )


def _common_type(used: Sequence[ValueGroup]) -> str:
    """Return the smallest type that holds the values of all images."""
    return np.result_type(*(np.dtype(group.dtype) for group in used)).name


def _find_range(used: Sequence[ValueGroup], channels: int) -> ValueRange:
    dtype = np.dtype(_common_type(used))
    if all(group.multiples for group in used):
        return ValueRange(dtype.name, (0.0,), (float(WHITE_16),))
    tables = merge_tables(used, channels)
    ranges = [_trim(table, dtype) for table in tables]
    low, high = zip(*ranges, strict=True)
    return ValueRange(dtype.name, tuple(low), tuple(high))


def merge_tables(used: Sequence[ValueGroup], channels: int) -> ndarray:
    """Return tables of quantiles of all images: one, or one for each channel.

    One table where 1 or 3 channels are trained, whose values mean the same.
    """
    rows = [g.table if (g.bands, channels) == (3, 1) else g.table[:channels] for g in used]
    if channels in (1, 3) or any(group.bands < channels for group in used):
        rows = [row.reshape(1, -1) for row in rows]
    if len(rows) == 1 and rows[0].shape[1] == QUANTILES:
        return rows[0]
    weights = np.concatenate(
        [np.full(r.shape[1], g.count / r.shape[1]) for g, r in zip(used, rows, strict=True)]
    )
    steps = np.linspace(0, 1, QUANTILES)
    joined = np.concatenate(rows, axis=1)
    merged = [np.quantile(r, steps, weights=weights, method="inverted_cdf") for r in joined]
    return np.stack(merged)


def _trim(table: ndarray, dtype: np.dtype) -> tuple[float, float]:
    """Return the range of a table of quantiles: all but 0.1 % at each end, in round numbers."""
    least, low, high, most = (float(table[i]) for i in (0, 1, -2, -1))
    if most - least <= NEARLY_ALL * (high - low) or low == high:
        low, high = least, most
    if dtype.kind != "f":
        low, high = np.floor(low), np.ceil(high)
    for nominal_low, nominal_high in _list_nominal(dtype):
        inside = nominal_low <= low and high <= nominal_high
        if inside and high - low >= NEARLY_NOMINAL * (nominal_high - nominal_low):
            return nominal_low, nominal_high
    if low == high:  # nothing varies: any range does
        high = low + 1
    return float(low), float(high)


def _list_nominal(dtype: np.dtype) -> tuple[tuple[float, float], ...]:
    if dtype.kind == "f":
        return NOMINAL_FLOATS
    return ((0.0, float(WHITE_16)),) if dtype == np.uint16 else ()


def share_clipped(used: Sequence[ValueGroup], channels: int, values: ValueRange) -> float:
    """Return the share of the values that lie outside the range."""
    if values.is_8_bit:
        return 0.0
    tables = merge_tables(used, channels)
    low, high = np.array(values.low)[:, None], np.array(values.high)[:, None]
    return float(((tables < low) | (tables > high)).mean())
