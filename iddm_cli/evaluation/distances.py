"""Distances between two sets of feature vectors.

Every distance is zero for a set against itself and grows with the difference of the distributions.
All are computed in float64, so that a sum over thousands of images loses nothing.
"""

import torch
from torch import Tensor

from iddm_cli.engine import randomness

MIND_PROJECTIONS = 1000
MIND_SCALE = 3
"""Factor on the mean squared distance, times the number of features (arXiv:2605.06797, eq. 4)."""


def mind(real: Tensor, generated: Tensor, *, projections: int = MIND_PROJECTIONS) -> float:
    """Return the Monge Inception Distance (Berthet et al. 2026, arXiv:2605.06797).

    It is the squared sliced 2-Wasserstein distance: the mean, over random directions, of the
    squared one-dimensional Wasserstein distance, which sorting solves; times 3 d, to be of the size
    of FID.

    Args:
        real: Features, [N, d].
        generated: Features, [M, d].
        projections: Number of directions.
    """
    directions = random_directions(projections, real.shape[1])
    x, y = (features.double() @ directions.T for features in (real, generated))
    squared = wasserstein_1d_squared(x.sort(dim=0).values, y.sort(dim=0).values)
    return MIND_SCALE * real.shape[1] * float(squared.mean())


def random_directions(count: int, dimensions: int) -> Tensor:
    """Return fixed random unit vectors, [count, dimensions], float64."""
    directions = randomness.normal(
        0, "projection", items=torch.arange(count), step=0, shape=(dimensions,)
    ).double()
    return directions / directions.norm(dim=1, keepdim=True)


def wasserstein_1d_squared(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of each pair of sorted columns, [P].

    The optimal plan of one dimension matches equal quantiles. Where the sets differ in size, their
    quantile functions are compared between all their steps, so that every image counts.

    Args:
        x: Sorted along the first dimension, [N, P].
        y: Sorted along the first dimension, [M, P].
    """
    n, m = len(x), len(y)
    # In units of 1 / (n m), so that equal quantiles are equal numbers.
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends[:-1]])
    weights = (ends - starts).double() / (n * m)
    return weights @ (x[starts // m] - y[starts // n]).square()


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """Return the Fréchet distance of two Gaussians fitted to the features.

    Heusel et al. 2017, arXiv:1706.08500, eq. 6; FID is this distance in the features of Inception.

    Args:
        real: Features, [N, d].
        generated: Features, [M, d].
    """
    x, y = real.double(), generated.double()
    covariance_x, covariance_y = torch.cov(x.T), torch.cov(y.T)
    root = _matrix_sqrt(covariance_x)
    # The trace of (S_x S_y)^(1/2), by a symmetric matrix of the same eigenvalues.
    shared = torch.linalg.eigvalsh(root @ covariance_y @ root).clamp(min=0).sqrt().sum()
    spread = covariance_x.trace() + covariance_y.trace() - 2 * shared
    return max(0.0, float((x.mean(0) - y.mean(0)).square().sum() + spread))


def _matrix_sqrt(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Return the kernel distance: the unbiased squared maximum mean discrepancy, at least 0.

    The kernel is (x·y / d + 1)^3 (Bińkowski et al. 2018, arXiv:1801.01401, eq. 4); KID is this
    distance in the features of Inception. All pairs are used, not random subsets of them.

    Args:
        real: Features, [N, d].
        generated: Features, [M, d].
    """
    x, y = real.double(), generated.double()
    within = _mean_off_diagonal(_kernel(x, x)) + _mean_off_diagonal(_kernel(y, y))
    return max(0.0, within - 2 * float(_kernel(x, y).mean()))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _mean_off_diagonal(kernel: Tensor) -> float:
    n = len(kernel)
    return float(kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))
