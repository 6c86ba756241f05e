"""KID: the kernel distance of two samples of feature vectors, and of their classes."""

import torch
from torch import Tensor

from iddm_cli.evaluation.comparison.distances import take_whole
from iddm_cli.evaluation.comparison.samples import FeatureSample

ROWS = 1024
"""Rows of a matrix of pairs that are in memory at once."""


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Return the kernel distance of features [N, d] and [M, d]; see `measure_kid`."""
    return float(measure_kid(*take_whole(real, generated)))


def measure_kid(x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor) -> Tensor:
    """Return the kernel distance: the unbiased squared maximum mean discrepancy, float64 [R].

    The kernel is (x·y / d + 1)^3 (Bińkowski et al. 2018, arXiv:1801.01401, eq. 4); KID is this
    distance in the features of Inception. All pairs are used, not random subsets of them. It is
    about 0 on average for samples of one distribution, so that it may be below 0.

    With classes the kernel is multiplied by 1/2 for images of different classes, and by
    (1 + 1 / sum of squared shares) / 2 for images of one class. The result is the mean of the
    distance of all images and that within classes, so that it grows if labels are swapped.

    Args:
        x: A sample.
        y: Another one.
        keep_x: Vectors of `x` in each replicate, bool [R, N].
        keep_y: Vectors of `y` in each replicate, bool [R, M].
    """
    weights_x, weights_y = (
        (sample.weights * keep) / (sample.weights * keep).sum(dim=1, keepdim=True)
        for sample, keep in ((x, keep_x), (y, keep_y))
    )
    whole, correction = _discrepancy(x.features, y.features, weights_x, weights_y)
    if x.labels is None or y.labels is None:
        return whole + correction
    within = torch.zeros_like(whole)
    concentration = torch.zeros_like(whole)
    for label in x.labels.unique().tolist():
        own_x, own_y = x.labels == label, y.labels == label
        part_x, part_y = weights_x[:, own_x], weights_y[:, own_y]
        part, correction = _discrepancy(x.features[own_x], y.features[own_y], part_x, part_y)
        whole += correction
        within += part + correction
        concentration += part_x.sum(dim=1).square()
    return (whole + within / concentration) / 2


def _discrepancy(
    x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the discrepancy with pairs of a vector and itself, and what leaving them out adds.

    Args:
        x: Vectors, [N, d].
        y: Others, [M, d].
        weights_x: Weight of each in each replicate, [R, N].
        weights_y: Likewise, [R, M].
    """
    pairs_x = _sum_kernel(x, x, weights_x, weights_x)
    pairs_y = _sum_kernel(y, y, weights_y, weights_y)
    between = _sum_kernel(x, y, weights_x, weights_y)
    corrections = _leave_out_itself(x, weights_x, pairs_x) + _leave_out_itself(
        y, weights_y, pairs_y
    )
    return pairs_x + pairs_y - 2 * between, corrections


def _leave_out_itself(x: Tensor, weights: Tensor, pairs: Tensor) -> Tensor:
    """Return what is added to the sum over pairs if others stand for those of one vector, [R]."""
    squares = weights.square()
    others = pairs - squares @ _kernel(x.square().sum(dim=1), x.shape[1])
    share = 1 - squares.sum(dim=1) / weights.sum(dim=1).square().clamp(min=1e-300)
    # A single vector has no other one to stand for it.
    return torch.where(share > 1e-9, others / share.clamp(min=1e-9) - pairs, 0.0)


def _sum_kernel(x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor) -> Tensor:
    """Return the weighted sum of the kernel over all pairs, [R]."""
    total = torch.zeros(len(weights_x), dtype=torch.float64)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        kernel = _kernel(x[rows] @ y.T, x.shape[1])
        total += (weights_x[:, rows] * (weights_y @ kernel.T)).sum(dim=1)
    return total


def _kernel(products: Tensor, dimensions: int) -> Tensor:
    return (products / dimensions + 1) ** 3
