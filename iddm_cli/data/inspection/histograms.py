"""Histograms with few bars and round edges."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy import ndarray

from iddm_cli.data.inspection.report_data import HistogramBar

MAX_BARS = 10
DOUBLING_RANGE = 20
"""Ratio of the largest to the smallest size from which the edges are powers of two."""

ASPECT_RATIOS = (
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
"""Name and upper edge of each range of width to height, from tall to wide; square is within 5 %."""


def count_sizes(sizes: ndarray) -> list[HistogramBar]:
    """Return a histogram of sizes in pixels, by steps of 1, 2 or 5 times 10^n, or powers of two."""
    if not sizes.size:
        return []
    low, high = int(sizes.min()), int(sizes.max())
    if len(np.unique(sizes)) <= MAX_BARS:
        values, counts = np.unique(sizes, return_counts=True)
        return [HistogramBar(f"{value}", int(n)) for value, n in zip(values, counts, strict=True)]
    edges = _doublings(low, high) if high >= DOUBLING_RANGE * low else _steps(low, high)
    counts, _ = np.histogram(sizes, [*edges[:-1], edges[-1] - 0.5])
    labels = [f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(edges)]
    return [HistogramBar(label, int(n)) for label, n in zip(labels, counts, strict=True)]


def _doublings(low: int, high: int) -> list[int]:
    return [2**power for power in range(low.bit_length() - 1, high.bit_length() + 1)]


def _steps(low: int, high: int) -> list[int]:
    """Return at most MAX_BARS + 1 edges around low..high."""
    sizes = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(size for size in sizes if high // size - low // size < MAX_BARS)
    return [step * i for i in range(low // step, high // step + 2)]


def count_aspect_ratios(ratios: ndarray) -> list[HistogramBar]:
    """Return a histogram of width to height, from tall to wide."""
    if not ratios.size:
        return []
    # A ratio on an edge belongs to the range nearer to square: 3:1 is not beyond 3:1.
    edges = [np.nextafter(edge, np.inf) if edge > 1 else edge for _, edge in ASPECT_RATIOS]
    counts, _ = np.histogram(ratios, [0, *edges])
    bars = [
        HistogramBar(label, int(n)) for (label, _), n in zip(ASPECT_RATIOS, counts, strict=True)
    ]
    return _trim(bars)


def _trim(bars: Sequence[HistogramBar]) -> list[HistogramBar]:
    """Remove empty bars at both ends."""
    filled = [i for i, bar in enumerate(bars) if bar.count]
    return list(bars[filled[0] : filled[-1] + 1])
