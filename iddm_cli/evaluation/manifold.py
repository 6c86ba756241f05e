"""Precision, recall, density and coverage: rates over nearest neighbours of feature vectors."""

from typing import NamedTuple

import torch
from torch import Tensor

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5


class ManifoldRates(NamedTuple):
    """How far two sets of images overlap.

    Attributes:
        precision: Share of the generated images within the real ones.
        recall: Share of the real images within the generated ones.
        density: Mean number of real neighbourhoods around a generated image, over k; may exceed 1.
        coverage: Share of the real images with a generated one in their neighbourhood.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold_rates(real: Tensor, generated: Tensor) -> ManifoldRates:
    """Return precision and recall (k = 3), density and coverage (k = 5).

    The neighbourhood of an image is a ball up to its k-th nearest neighbour of its own set.
    Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1-2; Naeem et al. 2020, arXiv:2002.09797,
    eq. 4-6.

    Args:
        real: Features, [N, d], N > 5.
        generated: Features, [M, d], M > 5.
    """
    between = pairwise_distances(real, generated)
    near_real = neighbour_radii(real, (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS))
    near_generated = neighbour_radii(generated, (PRECISION_NEIGHBOURS,))
    in_real = between <= near_real[0][:, None]
    in_real_density = between <= near_real[1][:, None]
    in_generated = between <= near_generated[0][None, :]
    return ManifoldRates(
        precision=float(in_real.any(0).double().mean()),
        recall=float(in_generated.any(1).double().mean()),
        density=float(in_real_density.double().sum(0).mean()) / DENSITY_NEIGHBOURS,
        coverage=float(in_real_density.any(1).double().mean()),
    )


def neighbour_radii(features: Tensor, neighbours: tuple[int, ...]) -> list[Tensor]:
    """Return the distance of each vector to its k-th nearest other one, [N] for each k."""
    distances = pairwise_distances(features, features)
    distances.fill_diagonal_(0)
    nearest = distances.topk(max(neighbours) + 1, largest=False).values
    return [nearest[:, k] for k in neighbours]


def pairwise_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the Euclidean distance of each pair, [N, M], float64."""
    return torch.cdist(x.double(), y.double())
