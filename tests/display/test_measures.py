"""Numbers as text: rounding, intervals, and how far they are from their floor."""

import math

import pytest

from iddm_cli.display.measures import (
    OTHER_MEASURES,
    compare_with_floor,
    find_measure,
    format_interval,
    format_value,
)
from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.evaluation.numbers import Number


@pytest.mark.parametrize(
    ("value", "is_share", "expected"),
    [
        (0.02134, False, "0.0213"), (12.345, False, "12.3"), (1234.5, False, "1,234"),
        (0.5, True, "50.0%"), (math.nan, True, "not measured"), (None, False, "not measured"),
        (math.inf, False, "not measured"), (-0.00123, False, "-0.00123"),
    ],
)  # fmt: skip
def test_values(value, is_share, expected):
    assert format_value(value, is_share=is_share) == expected


def test_intervals():
    assert format_interval(Number(0.5, low=0.25, high=0.75), is_share=True) == "25.0% to 75.0%"
    assert format_interval(Number(0.5, low=0.25)) == ""


@pytest.mark.parametrize(
    ("number", "better", "expected"),
    [
        (Number(4.0, 2.0), "lower", "2.0 times the floor"),
        (Number(4.0, 2.0, 3.5, 4.5), "lower", "2.0 times the floor"),
        (Number(2.1, 2.0, 1.9, 2.3), "lower", "like real images"),
        (Number(1.9, 2.0), "lower", "like real images"),
        (Number(0.1, 0.0), "lower", "above the floor"),
        (Number(0.1, -0.1), "lower", "above the floor"),
        (Number(0.0, 0.0), "lower", "like real images"),
        (Number(0.45, 0.9), "higher", "50% of real"),
        (Number(0.88, 0.9, 0.86, 0.91), "higher", "like real images"),
        (Number(0.95, 0.9), "higher", "like real images"),
        (Number(0.95), "higher", ""),
        (Number(math.nan, 0.9), "higher", ""),
        (Number(0.95, 0.9), None, ""),
    ],
)
def test_comparison_with_the_floor(number, better, expected):
    assert compare_with_floor(number, better) == expected


def test_each_measure_is_explained():
    for key in (*QUALITY_METRICS, *OTHER_MEASURES):
        measure = find_measure(key)
        assert measure.better
        assert measure.summary
    shares = {key for key in QUALITY_METRICS if find_measure(key).is_share}
    assert shares == {"precision", "recall", "coverage", "agreement"}
    assert find_measure("some_thing").title == "some thing"
