"""Precision, recall, density and coverage: rates over nearest neighbours of feature vectors."""

from typing import NamedTuple

import torch
from torch import Tensor

from iddm_cli.evaluation.comparison.samples import FeatureSample, build_sample

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
SAME = 1e-10
"""Squared distance of vectors that count as equal, in units of the mean squared deviation: the
features of an image differ by rounding from batch to batch."""


class ManifoldRates(NamedTuple):
    """How far two samples overlap, each float64 [R].

    Attributes:
        precision: Share of the generated images within the real ones.
        recall: Share of the real images within the generated ones.
        density: Mean number of real neighbourhoods around a generated image, over k; may exceed 1.
        coverage: Share of the real images with a generated one in their neighbourhood.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def manifold_rates(real: Tensor, generated: Tensor) -> tuple[float, float, float, float]:
    """Return precision, recall, density and coverage of features [N, d] and [M, d]."""
    x, y = build_sample(real), build_sample(generated)
    masks = [torch.ones(1, len(sample), dtype=torch.bool) for sample in (x, y)]
    precision, recall, density, coverage = map(float, measure_rates(x, y, *masks))
    return precision, recall, density, coverage


def measure_rates(
    real: FeatureSample, generated: FeatureSample, keep_x: Tensor, keep_y: Tensor
) -> ManifoldRates:
    """Return precision and recall (k = 3), density and coverage (k = 5).

    The neighbourhood of an image is a ball up to its k-th nearest neighbour of its own set.
    Kynkäänniemi et al. 2019, arXiv:1904.06991, eq. 1-2; Naeem et al. 2020, arXiv:2002.09797,
    eq. 4-6.

    Args:
        real: Real images, N > 5.
        generated: Generated images, M > 5.
        keep_x: Real images in each replicate, bool [R, N]; more than 5.
        keep_y: Generated images in each replicate, bool [R, M]; more than 5.
    """
    shift = real.features.mean(dim=0)
    x, y = (sample.features - shift for sample in (real, generated))
    slack = SAME * float(x.square().sum(dim=1).mean())
    within_x, within_y = squared_distances(x, x), squared_distances(y, y)
    between = squared_distances(x, y) - slack
    replicates = []
    for mask_x, mask_y in zip(keep_x, keep_y, strict=True):
        near, wide = _squared_radii(within_x, mask_x, (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS))
        (near_y,) = _squared_radii(within_y, mask_y, (PRECISION_NEIGHBOURS,))
        weights = [
            sample.weights * mask / (sample.weights * mask).sum()
            for sample, mask in ((real, mask_x), (generated, mask_y))
        ]
        replicates.append(_rates(between, (near, wide, near_y), mask_y, *weights))
    return ManifoldRates(*(torch.stack(values) for values in zip(*replicates, strict=True)))


def _rates(
    between: Tensor,
    radii: tuple[Tensor, Tensor, Tensor],
    mask_y: Tensor,
    weights_x: Tensor,
    weights_y: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rates of one replicate; the radii of images that it leaves out are negative."""
    near, wide, near_y = radii
    around = between <= wide[:, None]
    return (
        weights_y @ (between <= near[:, None]).any(dim=0).double(),
        weights_x @ (between <= near_y).any(dim=1).double(),
        weights_y @ around.sum(dim=0).double() / DENSITY_NEIGHBOURS,
        weights_x @ (around & mask_y).any(dim=1).double(),
    )


def _squared_radii(squared: Tensor, keep: Tensor, neighbours: tuple[int, ...]) -> list[Tensor]:
    """Return the squared distance to the k-th nearest other vector, [N] for each k.

    Args:
        squared: Squared distance of each pair, [N, N].
        keep: Vectors that count, bool [N]; minus infinity is returned for the others.
        neighbours: Each k.
    """
    kept = squared[keep][:, keep].fill_diagonal_(torch.inf)
    nearest = kept.topk(max(neighbours), dim=1, largest=False).values
    radii = torch.full((len(neighbours), len(squared)), -torch.inf, dtype=squared.dtype)
    radii[:, keep] = nearest.T[[k - 1 for k in neighbours]]
    return list(radii)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distance of each pair, [N, M]."""
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return torch.addmm(squares, x, y.T, alpha=-2).clamp_(min=0)
