"""Histograms: every value falls into one bar."""

import numpy as np
import pytest

from iddm_cli.data.inspection import histograms
from iddm_cli.data.inspection.report_data import HistogramBar


@pytest.mark.parametrize("most", [3, 11, 37, 99, 100, 150, 2000, 16384])
@pytest.mark.parametrize("least", [1, 30])
def test_every_size_falls_into_one_bar_of_its_range(least: int, most: int) -> None:
    rng = np.random.default_rng(most)
    sizes = rng.integers(least, max(most, least) + 1, 500)
    bars = histograms.count_sizes(sizes)
    assert len(bars) <= 16
    assert sum(bar.count for bar in bars) == 500
    for bar in bars:
        low, _, high = bar.label.partition("-")
        assert ((sizes >= int(low)) & (sizes <= int(high or low))).sum() == bar.count


def test_shapes_are_counted_by_their_names() -> None:
    ratios = np.array([0.1, 0.6, 0.7, 1, 1, 1.04, 1.06, 1.9])
    assert [bar for bar in histograms.count_aspect_ratios(ratios) if bar.count] == [
        HistogramBar("beyond 1:3", 1),
        HistogramBar("1:2 to 2:3", 1),
        HistogramBar("2:3 to 4:5", 1),
        HistogramBar("square", 3),
        HistogramBar("square to 5:4", 1),
        HistogramBar("3:2 to 2:1", 1),
    ]
    assert histograms.count_aspect_ratios(np.array([1.0, 1.0])) == [HistogramBar("square", 2)]


def test_a_rotated_image_falls_into_the_rotated_bar() -> None:
    rng = np.random.default_rng(0)
    ratios = np.append(rng.uniform(1, 5, 300), [1.05, 5 / 4, 3 / 2, 2, 3])
    wide = [bar.count for bar in histograms.count_aspect_ratios(ratios)]
    tall = [bar.count for bar in histograms.count_aspect_ratios(1 / ratios)]
    assert wide == tall[::-1]
    assert histograms.count_aspect_ratios(np.array([3.0])) == [HistogramBar("2:1 to 3:1", 1)]
