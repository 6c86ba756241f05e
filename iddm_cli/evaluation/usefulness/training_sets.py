"""Training sets: which real and which generated images each arm trains on."""

import torch
from torch import Tensor

from iddm_cli.engine import randomness


def choose_real(labels: Tensor, *, per_class: int, seed: int) -> Tensor:
    """Return the indices of the real images of a seed, which all its arms train on, int64 [R].

    Args:
        labels: Classes of the real images, int64 [N].
        per_class: Images of each class; of a class with fewer, all of them.
        seed: Seed of the choice.
    """
    return _choose(labels, labels.bincount().clamp(max=per_class), "usefulness-real", seed)


def choose_generated(labels: Tensor, real: Tensor, *, ratio: float, seed: int) -> Tensor:
    """Return the indices of the generated images of an arm, int64 [G].

    Each class receives `ratio` times as many as it has real images, as far as there are as many. A
    larger ratio contains the images of a smaller one.

    Args:
        labels: Classes of the generated images, int64 [M].
        real: Classes of the real images of this seed, int64 [R].
        ratio: Generated images per real one.
        seed: Seed of the choice.
    """
    wanted = (real.bincount() * ratio - 1e-9).ceil().long()
    return _choose(labels, wanted, "usefulness-generated", seed)


def _choose(labels: Tensor, wanted: Tensor, purpose: str, seed: int) -> Tensor:
    """Return the first `wanted` images of each class in a random order, class by class."""
    order = randomness.permutation(seed, purpose, step=0, count=len(labels))
    order = order[labels[order].argsort(stable=True)]
    counts = labels.bincount(minlength=len(wanted))
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    limits = torch.zeros_like(counts)
    limits[: len(wanted)] = wanted
    return order[rank < limits[labels[order]]]


def available_ratio(labels: Tensor, real: Tensor) -> float:
    """Return the smallest ratio that uses all generated images of classes with real ones.

    Args:
        labels: Classes of the generated images, int64 [M].
        real: Classes of the real images of a seed, int64 [R].
    """
    counts = real.bincount()
    there = labels.bincount(minlength=len(counts))[: len(counts)]
    ratios = there[counts > 0].double() / counts[counts > 0]
    return float(ratios.max())
