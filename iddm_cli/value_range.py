"""The range of a dataset's values: what black and white mean in the units of its files.

Training and sampling see numbers in [-1, 1]. A pack stores them as levels: 0 to 255 (uint8) for
ordinary images of 8 bits, 0 to 65535 (uint16) for everything else. Between levels and the values of
the files lies a linear map, which this module knows in both directions:

    value = low + level / levels * (high - low)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

DEEP_LEVELS = 65_535
MAX_CHANNELS = 16
"""Channels that an image may have; more are a stack of images, or a volume."""

RANGES_SHOWN = 4
HIGHEST_LABEL = 63
"""Images of 8 bits whose values end below this one hold labels, not brightness."""


@dataclass(frozen=True)
class ValueRange:
    """The type of a dataset's values, and the range that is trained on.

    Attributes:
        dtype: NumPy's name of the type in the files.
        low: Lowest value: one for all channels, or one for each.
        high: Highest value, likewise; values outside are clipped.
        alpha: Whether the last channel is opacity.
    """

    dtype: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    alpha: bool = False

    @property
    def is_8_bit(self) -> bool:
        """Whether these are ordinary images of 8 bits, whose levels are their values."""
        return (self.dtype, self.low, self.high) == ("uint8", (0.0,), (255.0,))

    @property
    def is_labels(self) -> bool:
        """Whether these are label images, in which the mean of two values means nothing."""
        return self.dtype == "uint8" and max(self.high) <= HIGHEST_LABEL

    @property
    def levels(self) -> int:
        """The highest level that a pack stores."""
        return 255 if self.is_8_bit else DEEP_LEVELS

    @property
    def level_dtype(self) -> np.dtype[Any]:
        """The type of stored levels."""
        return np.dtype(np.uint8 if self.is_8_bit else "<u2")

    def to_unit(self, values: ndarray) -> ndarray:
        """Return values, [H, W, C], as float64 from 0 (low) to 1 (high), clipped."""
        low, high = np.array(self.low), np.array(self.high)
        return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)

    def to_values(self, levels: ndarray) -> ndarray:
        """Return levels, [H, W, C], as values in the type and the units of the files."""
        if self.is_8_bit:
            return levels.astype(np.uint8)
        low, high = np.array(self.low), np.array(self.high)
        values = low + levels.astype(np.float64) / self.levels * (high - low)
        values = np.clip(values, low, high)  # which rounding may exceed
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            return values.astype(dtype)
        limits = np.iinfo(dtype)
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)

    def describe(self) -> str:
        """Return the range for a user: 300 to 3,300 (uint16); of many bands, the first ones."""
        pairs = list(zip(self.low, self.high, strict=True))
        ranges = [f"{format_value(low)} to {format_value(high)}" for low, high in pairs]
        more = len(ranges) - RANGES_SHOWN
        shown = [*ranges[:RANGES_SHOWN], f"{more} more ranges"] if more > 1 else ranges
        return f"{', '.join(shown)} ({self.dtype})"

    def to_json(self) -> dict[str, object]:
        """Return the content of `values` in dataset.json and in exported files."""
        return {
            "dtype": self.dtype,
            "low": list(self.low),
            "high": list(self.high),
            "alpha": self.alpha,
        }


EIGHT_BIT = ValueRange("uint8", (0.0,), (255.0,))
"""Ordinary images of 8 bits; also every run whose dataset.json does not record a range."""


def format_value(value: float) -> str:
    """Return a number for a user: 3,300 or 0.25."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def parse_value_range(document: Mapping[str, object]) -> ValueRange:
    """Return the range that dataset.json records under `values`; without it, 8 bits.

    Raises:
        ValueError: The entry is damaged.
    """
    entry = document.get("values")
    if entry is None:
        return EIGHT_BIT
    if not isinstance(entry, dict):
        raise ValueError("values is not an object")
    low, high = _read_numbers(entry.get("low")), _read_numbers(entry.get("high"))
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or np.dtype(_check_name(dtype)).kind not in "uif":
        raise ValueError("values.dtype is not a type of numbers")
    if len(low) != len(high) or not all(a < b for a, b in zip(low, high, strict=True)):
        raise ValueError("values.low is not below values.high")
    return ValueRange(dtype, low, high, entry.get("alpha") is True)


def _check_name(dtype: str) -> str:
    try:
        np.dtype(dtype)
    except TypeError as error:
        raise ValueError("values.dtype is unknown") from error
    return dtype


def _read_numbers(entry: object) -> tuple[float, ...]:
    numbers = entry if isinstance(entry, list) else []
    valid = all(type(number) in (int, float) and np.isfinite(number) for number in numbers)
    if not valid or not 1 <= len(numbers) <= MAX_CHANNELS:
        raise ValueError("values.low and values.high are not lists of numbers")
    return tuple(float(number) for number in numbers)
