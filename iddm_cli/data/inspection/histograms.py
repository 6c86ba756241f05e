"""Histograms of a few bars whose edges a person would have chosen."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy import ndarray

from iddm_cli.data.inspection.report_data import Bar

MOST_BARS = 10
WIDE_RANGE = 20
"""Sizes whose largest is so many times the smallest are counted by doublings."""

ASPECTS = (
    ("beyond 1:3", 1 / 3),
    ("1:3 to 1:2", 1 / 2),
    ("1:2 to 2:3", 2 / 3),
    ("2:3 to 4:5", 4 / 5),
    ("4:5 to square", 1 / 1.05),
    ("square", 1.05),
    ("square to 5:4", 5 / 4),
    ("5:4 to 3:2", 3 / 2),
    ("3:2 to 2:1", 2),
    ("2:1 to 3:1", 3),
    ("beyond 3:1", np.inf),
)
"""Width to height, from tall to wide: what each kind of shape is called, and up to where it goes;
square is what is so within 5 %."""


def of_sizes(sizes: ndarray) -> list[Bar]:
    """Count sizes in pixels, in steps of 1, 2 or 5 times a power of ten, or in doublings."""
    if not sizes.size:
        return []
    low, high = int(sizes.min()), int(sizes.max())
    if len(np.unique(sizes)) <= MOST_BARS:
        values, counts = np.unique(sizes, return_counts=True)
        return [Bar(f"{value}", int(n)) for value, n in zip(values, counts, strict=True)]
    edges = _doublings(low, high) if high >= WIDE_RANGE * low else _steps(low, high)
    counts, _ = np.histogram(sizes, [*edges[:-1], edges[-1] - 0.5])
    labels = [f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(edges)]
    return [Bar(label, int(n)) for label, n in zip(labels, counts, strict=True)]


def _doublings(low: int, high: int) -> list[int]:
    return [2**power for power in range(low.bit_length() - 1, high.bit_length() + 1)]


def _steps(low: int, high: int) -> list[int]:
    """Return edges around low..high, no more than MOST_BARS + 1."""
    sizes = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(size for size in sizes if high // size - low // size < MOST_BARS)
    return [step * i for i in range(low // step, high // step + 2)]


def of_aspects(ratios: ndarray) -> list[Bar]:
    """Count ratios of width to height by kinds of shape, from tall to wide."""
    if not ratios.size:
        return []
    # On an edge a shape counts as the less long one, wide or tall: 3:1 is not beyond 3:1.
    edges = [np.nextafter(edge, np.inf) if edge > 1 else edge for _, edge in ASPECTS]
    counts, _ = np.histogram(ratios, [0, *edges])
    bars = [Bar(label, int(n)) for (label, _), n in zip(ASPECTS, counts, strict=True)]
    return _trimmed(bars)


def _trimmed(bars: Sequence[Bar]) -> list[Bar]:
    """Leave out empty bars at both ends."""
    there = [i for i, bar in enumerate(bars) if bar.count]
    return list(bars[there[0] : there[-1] + 1])
