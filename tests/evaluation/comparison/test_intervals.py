import math

import pytest
import torch

from iddm_cli.evaluation.comparison.intervals import (
    T_95,
    Interval,
    jackknife_interval,
    wilson_interval,
)


def leave_out_means(values):
    groups = torch.arange(len(values)) % 10
    return torch.stack([values[groups != g].mean() for g in range(10)])


def test_the_interval_of_a_mean_is_that_of_the_means_of_groups():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    means = values.view(5, 10).mean(0)
    margin = T_95 * float(means.std()) / math.sqrt(10)
    interval = jackknife_interval(float(values.mean()), leave_out_means(values))
    centre = float(values.mean())
    assert interval == pytest.approx((centre - margin, centre + margin))


def test_the_interval_contains_the_truth_nineteen_times_of_twenty():
    generator = torch.Generator().manual_seed(1)
    hits = 0
    for _ in range(400):
        values = torch.randn(60, generator=generator).double().exp()
        low, high = jackknife_interval(float(values.mean()), leave_out_means(values))
        hits += low <= math.exp(0.5) <= high
    assert 0.88 < hits / 400 < 0.99


def test_wilson_of_known_cases():
    # Brown, Cai & DasGupta 2001, and any calculator.
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert wilson_interval(1.0, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_intervals_are_clamped_and_united():
    assert Interval(-0.5, 1.5).clamp(0, 1) == (0, 1)
    assert Interval(0.2, 0.4).unite(Interval(0.3, 0.6)) == (0.2, 0.6)
