"""MIND and the Fréchet distance of two samples of feature vectors.

Every distance is zero for a sample against itself and grows with the difference of the
distributions. All are computed in float64, so that a sum over thousands of images loses nothing.
Each is measured on several replicates at once, since these share most of the work.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.engine import randomness
from iddm_cli.evaluation.comparison.samples import FeatureSample, build_sample

MIND_PROJECTIONS = 1000
MIND_SCALE = 3
"""Factor on the mean squared distance, times the number of features (arXiv:2605.06797, eq. 4)."""


def mind(real: Tensor, generated: Tensor) -> float:
    """Return the Monge Inception Distance of features [N, d] and [M, d]; see `measure_mind`."""
    return float(measure_mind(*take_whole(real, generated)))


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Return the Fréchet distance of features [N, d] and [M, d]; see `measure_frechet`."""
    return float(measure_frechet(*take_whole(real, generated)))


def take_whole(
    real: Tensor, generated: Tensor
) -> tuple[FeatureSample, FeatureSample, Tensor, Tensor]:
    """Return two samples, and the one replicate of each that has all vectors."""
    masks = [torch.ones(1, len(features), dtype=torch.bool) for features in (real, generated)]
    return build_sample(real), build_sample(generated), masks[0], masks[1]


def measure_mind(x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor) -> Tensor:
    """Return the Monge Inception Distance (Berthet et al. 2026, arXiv:2605.06797), float64 [R].

    It is the squared sliced 2-Wasserstein distance: the mean, over random directions, of the
    squared one-dimensional Wasserstein distance, which sorting solves; times 3 d, to be of the size
    of FID. torch-fidelity (`metric_mind.py`, after release 0.4.0) computes the same, for equal
    numbers of vectors on the same directions to rounding. Of the larger set it takes as many random
    vectors as the smaller one has; here quantiles are compared, so that every vector counts.

    Args:
        x: A sample.
        y: Another one.
        keep_x: Vectors of `x` in each replicate, bool [R, N].
        keep_y: Vectors of `y` in each replicate, bool [R, M].
    """
    dimensions = x.features.shape[1]
    directions = random_directions(MIND_PROJECTIONS, dimensions)
    is_weighted = not (x.is_uniform and y.is_uniform)
    sorted_x = _project(x, directions, is_weighted=is_weighted)
    sorted_y = sorted_x if y is x else _project(y, directions, is_weighted=is_weighted)
    squared = [
        _wasserstein_squared(sorted_x.keep(mask_x), sorted_y.keep(mask_y)).mean()
        for mask_x, mask_y in zip(keep_x, keep_y, strict=True)
    ]
    return MIND_SCALE * dimensions * torch.stack(squared)


@functools.lru_cache(maxsize=4)
def random_directions(count: int, dimensions: int) -> Tensor:
    """Return fixed random unit vectors, [count, dimensions], float64."""
    directions = randomness.normal(
        0, "projection", items=torch.arange(count), step=0, shape=(dimensions,)
    ).double()
    return directions / directions.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class _Projections:
    """A sample projected on each direction.

    Attributes:
        values: In ascending order, [P, N].
        order: The vector of each value, int64 [P, N].
        weights: The weight of each value, [P, N]; None if all are equal.
    """

    values: Tensor
    order: Tensor
    weights: Tensor | None

    def keep(self, mask: Tensor) -> "_Projections":
        """Return the projections of some vectors, a mask [N]."""
        if bool(mask.all()):
            return self
        kept = mask[self.order]
        values, order = (part[kept].view(len(kept), -1) for part in (self.values, self.order))
        weights = None if self.weights is None else self.weights[kept].view(len(kept), -1)
        return _Projections(values, order, weights)


def _project(sample: FeatureSample, directions: Tensor, *, is_weighted: bool) -> _Projections:
    values, order = (directions @ sample.features.T).sort(dim=1)
    return _Projections(values, order, sample.weights[order] if is_weighted else None)


def _wasserstein_squared(x: _Projections, y: _Projections) -> Tensor:
    if x.weights is None or y.weights is None:
        return wasserstein_1d_squared(x.values, y.values)
    return weighted_wasserstein_1d_squared(x.values, y.values, x.weights, y.weights)


def wasserstein_1d_squared(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of each pair of rows, [P].

    The optimal plan of one dimension matches equal quantiles. Where the samples differ in size,
    their quantile functions are compared between all their steps, so that every image counts.

    Args:
        x: Sorted along the second dimension, [P, N].
        y: Sorted along the second dimension, [P, M].
    """
    n, m = x.shape[1], y.shape[1]
    # In units of 1 / (n m), so that equal quantiles are equal numbers.
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1]])
    widths = (ends - starts).double() / (n * m)
    return (x[:, starts // m] - y[:, starts // n]).square() @ widths


def weighted_wasserstein_1d_squared(
    x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor
) -> Tensor:
    """Return the squared 2-Wasserstein distance of each pair of rows of weighted values, [P].

    Args:
        x: Sorted along the second dimension, [P, N].
        y: Sorted along the second dimension, [P, M].
        weights_x: Weight of each value, [P, N]; of any sum.
        weights_y: Weight of each value, [P, M].
    """
    ends_x, ends_y = (
        weights.cumsum(dim=1) / weights.sum(dim=1, keepdim=True)
        for weights in (weights_x, weights_y)
    )
    ends = torch.cat([ends_x, ends_y], dim=1).sort(dim=1).values
    starts = torch.cat([torch.zeros(len(x), 1, dtype=ends.dtype), ends[:, :-1]], dim=1)
    middles = (starts + ends) / 2
    quantiles = [
        values.gather(1, torch.searchsorted(limits, middles).clamp(max=values.shape[1] - 1))
        for values, limits in ((x, ends_x), (y, ends_y))
    ]
    return ((ends - starts) * (quantiles[0] - quantiles[1]).square()).sum(dim=1)


def measure_frechet(x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor) -> Tensor:
    """Return the Fréchet distance of Gaussians fitted to the samples, float64 [R].

    Heusel et al. 2017, arXiv:1706.08500, eq. 6; FID is this distance in the features of Inception.
    The arguments are those of `measure_mind`.
    """
    # A shift changes nothing, and small numbers lose less.
    shift = x.features.mean(dim=0)
    distances = [
        _gaussian_distance(
            *_moments(x.features - shift, x.weights * mask_x),
            *_moments(y.features - shift, y.weights * mask_y),
        )
        for mask_x, mask_y in zip(keep_x, keep_y, strict=True)
    ]
    return torch.stack(distances)


def _moments(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the unbiased covariance of weighted vectors."""
    weights = weights / weights.sum()
    mean = weights @ features
    deviations = features - mean
    covariance = (deviations * weights[:, None]).T @ deviations
    return mean, covariance / (1 - weights.square().sum())


def _gaussian_distance(
    mean_x: Tensor, covariance_x: Tensor, mean_y: Tensor, covariance_y: Tensor
) -> Tensor:
    # The trace of (S_x S_y)^(1/2) is the sum of the singular values of S_x^(1/2) S_y^(1/2), which
    # are more exact than the roots of eigenvalues near zero.
    product = _matrix_sqrt(covariance_x) @ _matrix_sqrt(covariance_y)
    spread = covariance_x.trace() + covariance_y.trace() - 2 * torch.linalg.svdvals(product).sum()
    return (mean_x - mean_y).square().sum() + spread


def _matrix_sqrt(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
