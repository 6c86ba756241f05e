"""The table of metrics: every name has a row, and a better value ranks lower."""

import math
from typing import get_args

import pytest

from iddm_cli.profiles.evaluation_metrics import BEST_METRICS, BestMetricName, rank_value


def test_every_name_has_a_row():
    assert list(get_args(BestMetricName)) == list(BEST_METRICS)


@pytest.mark.parametrize("name", [*BEST_METRICS, "unknown"])
def test_the_better_value_ranks_lower(name):
    high = name in BEST_METRICS and BEST_METRICS[name].higher_is_better
    low_rank, high_rank = rank_value(name, 0.2), rank_value(name, 0.7)
    assert (high_rank < low_rank) == high


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.1"])
def test_what_is_no_number_is_worse_than_every_number(value):
    for name in ("loss", "coverage"):
        assert rank_value(name, value) == math.inf


def test_shares_of_good_images_are_better_where_higher():
    higher = {name for name, row in BEST_METRICS.items() if row.higher_is_better}
    assert higher == {"precision", "recall", "density", "coverage", "agreement"}
