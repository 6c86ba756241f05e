"""Intervals: how far a number would move if other images had been drawn."""

import math
from typing import NamedTuple

from torch import Tensor

T_95 = 2.262
"""95 % quantile of Student's t with 9 degrees of freedom, two-sided."""

Z_95 = 1.96
"""95 % quantile of the normal distribution, two-sided."""


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float

    def clamp(self, low: float = -math.inf, high: float = math.inf) -> "Interval":
        """Return the part within the limits that the number can have."""
        return Interval(*(min(max(end, low), high) for end in self))

    def unite(self, other: "Interval") -> "Interval":
        """Return the smallest interval that contains both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))


def jackknife_interval(value: float, partial: Tensor) -> Interval:
    """Return a 95 % interval of a number of two samples.

    The grouped jackknife leaves out a tenth of both samples at a time (Efron & Tibshirani 1993,
    eq. 11.5). Unlike the bootstrap it never repeats an image; repeated images look like copies to
    distances and to nearest neighbours.

    Args:
        value: The number of the whole samples.
        partial: The number without each of ten groups, float64 [10].
    """
    groups = len(partial)
    error = math.sqrt((groups - 1) / groups * float((partial - partial.mean()).square().sum()))
    return Interval(value - T_95 * error, value + T_95 * error)


def wilson_interval(share: float, count: int) -> Interval:
    """Return a 95 % interval of a share (Wilson 1927); unlike others it is never empty.

    Args:
        share: The share, in [0, 1].
        count: Number of images that it is a share of, at least 1.
    """
    weight = Z_95**2 / count
    middle = (share + weight / 2) / (1 + weight)
    margin = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return Interval(middle - margin, middle + margin).clamp(0.0, 1.0)
