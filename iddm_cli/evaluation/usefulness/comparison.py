"""Comparison of arms: what generated images gain, how sure that is, and what follows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.engine import randomness
from iddm_cli.evaluation.results import Verdict

SMALLEST_GAIN = 0.01
"""A gain in accuracy below one percentage point is not worth the effort."""

SMALLEST_SHARE = 0.2
"""Nor is one that removes less than a fifth of the remaining errors."""

T_95 = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 10: 2.228,
    12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980,
}  # fmt: skip
"""95 % quantile of Student's t, two-sided, by degrees of freedom."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean over seeds and test images with its 95 % interval."""

    value: float
    low: float
    high: float


def mean_interval(values: Tensor) -> MeanInterval:
    """Return the mean over seeds and test images, both random, and its 95 % interval.

    Seeds and images are crossed: the variance of the mean is that of a two-way table of random
    effects without repetition, (MS_seeds + MS_images - MS_rest) / (S N), and its degrees of freedom
    are those of Satterthwaite (1946).

    Args:
        values: [S, N], S > 1, N > 1.
    """
    table = values.double()
    seeds, images = table.shape
    mean, by_seed, by_image = table.mean(), table.mean(1), table.mean(0)
    rest = table - by_seed[:, None] - by_image + mean
    freedom = torch.tensor([seeds - 1, images - 1, (seeds - 1) * (images - 1)]).double()
    squares = torch.stack(
        [
            images * (by_seed - mean).square().sum(),
            seeds * (by_image - mean).square().sum(),
            rest.square().sum(),
        ]
    )
    mean_squares = squares / freedom
    # No less than the larger of the two, which either source of variance alone would give.
    total = max(mean_squares[:2].max(), mean_squares[:2].sum() - mean_squares[2])
    if total <= 0:
        return MeanInterval(float(mean), float(mean), float(mean))
    margin = _t_95(float(total**2 / (mean_squares**2 / freedom).sum())) * math.sqrt(
        float(total) / (seeds * images)
    )
    return MeanInterval(float(mean), float(mean) - margin, float(mean) + margin)


def _t_95(freedom: float) -> float:
    """Return the quantile at the next smaller degrees of freedom of the table."""
    return T_95[max((known for known in T_95 if known <= freedom), default=1)]


def split_halves(labels: Tensor) -> Tensor:
    """Return in which half each test image is, 0 or 1, int64 [N]; both have each class alike."""
    order = randomness.permutation(0, "usefulness-half", step=0, count=len(labels))
    order = order[labels[order].argsort(stable=True)]
    halves = torch.empty_like(labels)
    halves[order] = torch.arange(len(labels)) % 2
    return halves


def measure_gain(right: Tensor, halves: Tensor, mixed: Tensor) -> Tensor:
    """Return the difference of the best arms with and without generated images, [S, N].

    The best of several arms is too good by chance. So the arms that are compared on an image of one
    half and a network of one seed are those that are best on the other half of the images and for
    the other seeds (cross-fitting): nothing is compared on what it was chosen by, and every image
    and every seed counts.

    Args:
        right: Whether each arm's network of each seed names each image rightly, bool [A, S, N].
        halves: The half of each image, 0 or 1, int64 [N].
        mixed: Whether each arm has generated images, bool [A].
    """
    accuracy = right.double()
    gain = torch.empty(accuracy.shape[1:], dtype=torch.float64)
    for half in (0, 1):
        own, other = halves == half, halves != half
        by_seed = accuracy[:, :, other].mean(2)
        for seed in range(accuracy.shape[1]):
            score = by_seed.sum(1) - by_seed[:, seed]
            best_with = score.masked_fill(~mixed, -math.inf).argmax()
            best_without = score.masked_fill(mixed, -math.inf).argmax()
            gain[seed, own] = accuracy[best_with, seed, own] - accuracy[best_without, seed, own]
    return gain


def decide(gain: MeanInterval, accuracy: float) -> Verdict:
    """Return what follows from a gain.

    Args:
        gain: Gain in accuracy.
        accuracy: Accuracy of the best arm without generated images.
    """
    if gain.low > 0:
        return "helps"
    if gain.high < max(SMALLEST_GAIN, SMALLEST_SHARE * (1 - accuracy)):
        return "does not help"
    return "cannot tell"
