"""Training sets: counts of each class, and what arms and seeds share."""

import torch

from iddm_cli.evaluation.usefulness.training_sets import (
    available_ratio,
    choose_generated,
    choose_real,
)

LABELS = torch.tensor([0] * 10 + [1] * 4 + [2] * 7)[torch.randperm(21)]


def count(index: torch.Tensor, labels: torch.Tensor = LABELS) -> list[int]:
    return labels[index].bincount(minlength=3).tolist()


def test_each_class_gives_as_many_images_as_wanted_or_all_it_has():
    chosen = choose_real(LABELS, per_class=5, seed=0)
    assert count(chosen) == [5, 4, 5]
    assert len(chosen.unique()) == len(chosen)


def test_seeds_train_on_different_real_images():
    first, second = (set(choose_real(LABELS, per_class=3, seed=seed).tolist()) for seed in (0, 1))
    assert first != second


def test_generated_images_are_in_proportion_to_the_real_ones_of_their_class():
    real = torch.tensor([0, 0, 0, 0, 1, 1])
    assert count(choose_generated(LABELS, real, ratio=0.5, seed=0)) == [2, 1, 0]
    assert count(choose_generated(LABELS, real, ratio=100, seed=0)) == [10, 4, 0]
    assert count(choose_generated(LABELS, real, ratio=0, seed=0)) == [0, 0, 0]


def test_a_larger_ratio_contains_the_images_of_a_smaller_one():
    real = torch.tensor([0, 1, 2])
    few, many = (set(choose_generated(LABELS, real, ratio=r, seed=3).tolist()) for r in (1, 3))
    assert few < many


def test_the_ratio_that_uses_all_images():
    real = torch.tensor([0, 0, 1])
    assert available_ratio(torch.tensor([0, 0, 0, 1]), real) == 1.5
    assert available_ratio(torch.tensor([2, 2]), real) == 0
    assert available_ratio(torch.empty(0, dtype=torch.int64), real) == 0
