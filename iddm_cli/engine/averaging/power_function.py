"""The power-function EMA: an average whose length is a fraction of the training so far.

Karras et al. 2024, arXiv:2312.02696, section 3. After N updates, the weights of time t count in
proportion to t^gamma. The length of the average is the standard deviation of t under that
distribution, as a fraction of N: the paper's sigma_rel. EMAs with a constant decay have a length
of a fixed number of updates instead.
"""

import math

import torch
from torch import Tensor

SHORTEST, LONGEST = 0.005, 0.28
"""Lengths that can be asked for. At gamma 0, the plain mean, the length is 0.2887."""


def length_of(gamma: float) -> float:
    """Return the length of the average with weights t^gamma, for gamma above -1.

    That is the standard deviation of a variable on [0, 1] with this density: sigma_rel =
    (gamma + 1)^(1/2) (gamma + 2)^(-1) (gamma + 3)^(-1/2).
    """
    return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)


def gamma_of(length: float) -> float:
    """Return the exponent of the average of a length in [SHORTEST, LONGEST].

    It is the positive root of the cubic (gamma + 2)^2 (gamma + 3) = (gamma + 1) / length^2, found
    by bisection, as `length_of` falls where gamma is positive.
    """
    low, high = 0.0, 1 / length
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if length_of(middle) > length else (low, middle)
    return low


def weigh_steps(first: int, last: int, total: int, gamma: float) -> Tensor:
    """Return the weight of each update from `first` to `last` in the average after `total` updates.

    These are the weights of the recursion with decay (1 - 1/n)^(gamma + 1) at update n, which
    begins with the first update's weights.

    Returns:
        float64, [last - first + 1]; they sum to 1 from 1 to `total`. Update 0, the initial
        weights, has none.
    """
    ends = torch.arange(first - 1, last + 1, dtype=torch.float64).clamp_(min=0) / total
    return ends.pow_(gamma + 1).diff()
