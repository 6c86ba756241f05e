"""Doubts: few images and a weak feature network are named, others are not."""

import math

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.results import FeatureSummary
from iddm_cli.workflows.evaluating.doubts import is_weak, list_doubts


def make_set(count: int) -> ImageSet:
    return ImageSet(f"set of {count}", torch.zeros(count, 1, 2, 2, dtype=torch.uint8))


def make_summary(accuracy: float, chance: float) -> FeatureSummary:
    return FeatureSummary("classes", accuracy, chance, trained_on=100, tested_on=50)


def test_enough_images_and_a_good_network_leave_no_doubt():
    assert list(list_doubts(make_set(500), make_set(500), make_summary(0.9, 0.1))) == []


def test_few_images_are_named():
    (doubt,) = list_doubts(make_set(500), make_set(499), make_summary(0.9, 0.1))
    assert "set of 499" in doubt


@pytest.mark.parametrize(
    ("accuracy", "chance", "weak"),
    [(0.59, 0.1, True), (0.61, 0.1, False), (0.7, 0.25, True), (0.8, 0.25, False),
     (0.74, 0.5, True), (0.76, 0.5, False)],
)  # fmt: skip
def test_a_weak_network_is_known_as_weak(accuracy, chance, weak):
    assert is_weak(make_summary(accuracy, chance)) is weak
    doubts = list(list_doubts(make_set(500), make_set(500), make_summary(accuracy, chance)))
    assert bool(doubts) is weak


def test_a_network_without_test_images_is_doubtful():
    (doubt,) = list_doubts(make_set(500), make_set(500), make_summary(math.nan, 0.1))
    assert "could not be tested" in doubt
