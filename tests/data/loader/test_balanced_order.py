"""Balanced order: how often each class and each image is taken."""

from collections import Counter

import pytest
import torch

from iddm_cli.data.loader.balanced_order import BalancedOrder, class_quotas
from iddm_cli.engine import randomness


def permute(purpose: str, number: int, count: int) -> torch.Tensor:
    return randomness.permutation(0, purpose, step=number, count=count)


@pytest.mark.parametrize(
    ("counts", "balance", "wanted"),
    [
        ([60, 30, 10], 0.0, [60, 30, 10]),
        ([60, 30, 10], 1.0, [34, 33, 33]),
        ([100, 4], 0.5, [87, 17]),  # in proportion to 10 and 2
        ([400, 0, 100], 0.5, [333, 0, 167]),
        ([1, 1, 1], 0.5, [1, 1, 1]),
        ([997, 1, 1, 1], 0.0, [997, 1, 1, 1]),
        ([5], 0.5, [5]),
    ],
)
def test_quotas_are_in_proportion_to_a_power_of_the_size(counts, balance, wanted):
    assert class_quotas(torch.tensor(counts), balance).tolist() == wanted


@pytest.mark.parametrize("balance", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_an_epoch_has_as_many_places_as_there_are_images(balance):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        counts = torch.randint(0, 40, (7,), generator=generator)
        counts[0] += 1
        quotas = class_quotas(counts, balance)
        assert int(quotas.sum()) == int(counts.sum())
        assert ((quotas > 0) == (counts > 0)).all()


def test_all_images_of_a_class_are_taken_equally_often():
    labels = torch.tensor([0] * 40 + [1] * 5 + [2] * 15)[torch.randperm(60)]
    order = BalancedOrder(labels, 1.0, permute)
    epochs = [order(epoch) for epoch in range(12)]
    taken = torch.cat(epochs)
    assert [int(n) for n in labels[taken].bincount()] == [240, 240, 240]
    seen = Counter(taken.tolist())
    for label, count in ((0, 40), (1, 5), (2, 15)):
        of_class = [seen[i] for i in range(60) if labels[i] == label]
        assert (
            max(of_class) - min(of_class) <= 1 and sum(of_class) == 240 and len(of_class) == count
        )
    assert all(len(epoch) == 60 for epoch in epochs)
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(order(3), epochs[3]), "an epoch does not depend on those before"
    assert labels[epochs[0]][:20].unique().numel() == 3, "the classes are mixed"


def test_without_balance_every_image_is_taken_once():
    labels = torch.tensor([0] * 20 + [1] * 3)
    assert sorted(BalancedOrder(labels, 0.0, permute)(5).tolist()) == list(range(23))
