"""Comparison: intervals that cover, gains without the luck of the best, and verdicts."""

import math

import pytest
import torch

from iddm_cli.evaluation.usefulness.comparison import (
    MeanInterval,
    decide,
    mean_interval,
    measure_gain,
    split_halves,
)

IMAGES = 80


def simulate(count: int, *, seeds: float, images: float, rest: float) -> list[MeanInterval]:
    """Simulate tables whose true mean is 0, with these standard deviations."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [
        mean_interval(seeds * noise(5, 1) + images * noise(1, IMAGES) + rest * noise(5, IMAGES))
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("seeds", "images", "rest"),
    [(1, 0, 0.1), (0.01, 1, 0.1), (0.3, 2, 1), (0, 0, 1), (0.5, 2, 0.1)],
)
def test_the_interval_covers_the_mean_whatever_varies(seeds, images, rest):
    found = simulate(400, seeds=seeds, images=images, rest=rest)
    covered = sum(one.low < 0 < one.high for one in found) / len(found)
    assert 0.93 <= covered <= 0.999


def test_an_interval_of_seeds_alone_is_that_of_student():
    """Five values 1 to 5: mean 3, standard error sqrt(2.5 / 5), 4 degrees of freedom."""
    found = mean_interval(torch.arange(1.0, 6)[:, None].expand(5, 7))
    assert found.value == pytest.approx(3)
    assert found.high - found.value == pytest.approx(2.776 * math.sqrt(0.5))


def test_variances_of_seeds_and_of_images_add_up():
    """Without interaction: 2.5 / 5 + (28 / 6) / 7, and 9.96 degrees of freedom: those of 8."""
    table = torch.arange(1.0, 6)[:, None] + torch.arange(7.0)
    found = mean_interval(table)
    assert found.value - found.low == pytest.approx(2.306 * math.sqrt(2.5 / 5 + 28 / 6 / 7))


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval(torch.ones(3, 9)) == MeanInterval(1, 1, 1)


def test_halves_have_each_class_alike():
    labels = torch.tensor([0] * 7 + [1] * 3 + [2] * 10)
    halves = split_halves(labels)
    assert abs(int(halves.sum()) * 2 - len(labels)) <= 1
    for label in range(3):
        counts = halves[labels == label].bincount(minlength=2)
        assert abs(int(counts[0] - counts[1])) <= 1


def simulate_gains(*, help_by: float, arms: int = 6) -> torch.Tensor:
    """Return the mean gain of experiments whose arms differ by luck alone, except the last one."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(40) % 4
    mixed = torch.tensor([False, *[True] * (arms - 1)])
    chance = torch.full((arms, 1, 1), 0.5)
    chance[-1] += help_by
    gains = []
    for _ in range(150):
        right = torch.rand(arms, 3, 40, generator=generator) < chance
        gains.append(measure_gain(right, split_halves(labels), mixed).mean())
    return torch.stack(gains)


def test_the_best_of_many_useless_arms_gains_nothing():
    """Chosen and compared on the same images, the best of five would gain about 0.05."""
    gains = simulate_gains(help_by=0)
    assert abs(float(gains.mean())) < 3 * float(gains.std()) / math.sqrt(len(gains))
    assert abs(float(gains.mean())) < 0.015


def test_an_arm_that_helps_gains_what_it_helps_by():
    assert float(simulate_gains(help_by=0.4).mean()) == pytest.approx(0.4, abs=0.015)


def test_arms_are_chosen_by_other_images_and_other_seeds():
    """Each of two arms is right where the other is wrong: the luck of a half does not carry over.

    Arm 1 is right on half 0, arm 2 on half 1: compared on half 0, the arm chosen by half 1 is
    arm 2, which is wrong there.
    """
    halves = torch.tensor([0, 1, 0, 1])
    first = (halves == 0).expand(2, 4)
    right = torch.stack([torch.zeros(2, 4, dtype=torch.bool), first, ~first])
    mixed = torch.tensor([False, True, True])
    assert measure_gain(right, halves, mixed).unique().tolist() == [0]
    by_seed = torch.tensor([[True], [False]]).expand(2, 4)
    right = torch.stack([torch.zeros(2, 4, dtype=torch.bool), by_seed, ~by_seed])
    assert measure_gain(right, halves, mixed).unique().tolist() == [0]


@pytest.mark.parametrize(
    ("gain", "low", "high", "accuracy", "verdict"),
    [
        (0.05, 0.01, 0.09, 0.7, "helps"),
        (0.01, -0.03, 0.05, 0.7, "does not help"),
        (-0.2, -0.3, -0.1, 0.7, "does not help"),
        (0.05, -0.02, 0.12, 0.7, "cannot tell"),
        (-0.01, -0.2, 0.18, 0.7, "cannot tell"),
        (0.02, -0.01, 0.05, 0.9, "cannot tell"),
        (0.0, 0.0, 0.0, 1.0, "does not help"),
        (0.0, -0.009, 0.009, 0.99, "does not help"),
    ],
)
def test_verdicts(gain, low, high, accuracy, verdict):
    assert decide(MeanInterval(gain, low, high), accuracy) == verdict
