"""Balanced order: rare classes are trained on more often than their share of the images."""

from collections.abc import Callable

import torch
from torch import Tensor

Permute = Callable[[str, int, int], Tensor]
"""`permute(purpose, number, count)` returns a permutation of `count` numbers, int64."""


def class_quotas(counts: Tensor, balance: float) -> Tensor:
    """Return how often an epoch of as many draws as there are images takes each class.

    A class of n images is taken in proportion to n^(1 - balance): 0 leaves the classes as they are,
    1 takes all equally often, and 1/2, the square root, is the usual middle.

    Args:
        counts: Images of each class, int64 [K].
        balance: In [0, 1].

    Returns:
        int64 [K], with the sum of `counts`; at least 1 for every class that has images.
    """
    total = int(counts.sum())
    wanted = counts.double().pow(1 - balance) * (counts > 0)
    wanted = wanted * (total / wanted.sum())
    quotas = wanted.floor().clamp(min=1) * (counts > 0)
    # The largest remainders take what is left; where there are too many, the largest classes give.
    rest = total - int(quotas.sum())
    if rest >= 0:
        largest = (wanted - quotas).argsort(descending=True, stable=True)[:rest]
        quotas[largest] += 1
    for _ in range(-rest):
        quotas[quotas.argmax()] -= 1
    return quotas.long()


class BalancedOrder:
    """The order of each epoch, in which every class has a fixed number of places.

    A class's images follow each other in shuffled rounds that continue from one epoch to the next,
    so all images of a class are taken equally often.

    Args:
        labels: Class index of each image, int64 [N], on the CPU.
        balance: See `class_quotas`.
        permute: Shuffles.
    """

    def __init__(self, labels: Tensor, balance: float, permute: Permute) -> None:
        counts = labels.bincount()
        self.quotas = class_quotas(counts, balance).tolist()
        self.members = labels.argsort(stable=True).split(counts.tolist())
        self.permute = permute

    def __call__(self, epoch: int) -> Tensor:
        """Return the image indices of an epoch, int64 [N]."""
        taken = torch.cat([self._take(label, epoch) for label in range(len(self.quotas))])
        return taken[self.permute("order", epoch, len(taken))]

    def _take(self, label: int, epoch: int) -> Tensor:
        """Return the images of a class that belong to an epoch."""
        members, quota = self.members[label], self.quotas[label]
        places = torch.arange(epoch * quota, (epoch + 1) * quota)
        taken = torch.empty_like(places)
        for number in (places // max(1, len(members))).unique().tolist():
            here = places // len(members) == number
            shuffled = self.permute(f"order/class-{label}", number, len(members))
            taken[here] = members[shuffled[places[here] % len(members)]]
        return taken
