"""Intervals: how far a number would move if other images had been drawn."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

JACKKNIFE_GROUPS = 10
T_95 = 2.262
"""95 % quantile of Student's t with 9 degrees of freedom, two-sided."""


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def jackknife_interval(
    measure: Callable[[Tensor, Tensor], float], real: Tensor, generated: Tensor
) -> Interval:
    """Return a 95 % interval of a number that is measured on two sets of vectors.

    The grouped jackknife leaves out a tenth of both sets at a time (Efron & Tibshirani 1993,
    eq. 11.5). Unlike the bootstrap it never repeats an image; repeated images look like copies to
    distances and to nearest neighbours.

    Args:
        measure: Returns the number of real and generated vectors, [N, d] and [M, d].
        real: Vectors in an order without meaning, [N, d].
        generated: Vectors in an order without meaning, [M, d].
    """
    value = measure(real, generated)
    partial = torch.tensor(
        [
            measure(_without(real, group), _without(generated, group))
            for group in range(JACKKNIFE_GROUPS)
        ],
        dtype=torch.float64,
    )
    share = (JACKKNIFE_GROUPS - 1) / JACKKNIFE_GROUPS
    error = math.sqrt(share * float((partial - partial.mean()).square().sum()))
    return Interval(max(0.0, value - T_95 * error), value + T_95 * error)


def _without(vectors: Tensor, group: int) -> Tensor:
    return vectors[torch.arange(len(vectors)) % JACKKNIFE_GROUPS != group]
