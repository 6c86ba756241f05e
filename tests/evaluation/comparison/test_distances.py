import math

import pytest
import torch

from iddm_cli.evaluation.comparison.distances import (
    frechet_distance,
    measure_frechet,
    measure_mind,
    mind,
    random_directions,
    wasserstein_1d_squared,
    weighted_wasserstein_1d_squared,
)
from iddm_cli.evaluation.comparison.kernel_distance import kernel_distance, measure_kid
from iddm_cli.evaluation.comparison.samples import FeatureSample, build_sample

DISTANCES = [mind, frechet_distance, kernel_distance]
MEASURES = [measure_mind, measure_frechet, measure_kid]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whiten(x):
    """Return the vectors with mean 0 and exactly unit covariance."""
    x = x - x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.T))
    return x @ vectors / values.sqrt()


def gaussian(count, mean, covariance, seed=0):
    """Return vectors that have exactly this mean and covariance."""
    root = torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64))
    return whiten(normal(count, len(mean), seed=seed)) @ root.T + torch.tensor(mean)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_set_against_itself_in_another_order_is_at_zero(distance):
    x = normal(60, 8)
    assert max(0.0, distance(x, x.flip(0))) == pytest.approx(0, abs=1e-9)
    assert distance(x, x + 1) > 0.1


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_symmetric(distance):
    x, y = normal(40, 6), 2 * normal(50, 6, seed=1)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9)


def test_mind_of_a_shifted_set_is_three_times_the_squared_shift():
    x, shift = normal(50, 6), torch.tensor([3.0, 0, 0, -4, 0, 0], dtype=torch.float64)
    along = (random_directions(1000, 6) @ shift).square().mean()
    assert mind(x, x + shift) == pytest.approx(3 * 6 * float(along), rel=1e-9)
    assert mind(x, x + shift) == pytest.approx(3 * 25, rel=0.1), "directions are uniform"


def test_mind_of_sets_of_equal_size_is_that_of_the_paper():
    """As torch-fidelity computes it: 3 d / (n M) times the sum over n images and M directions."""
    x, y = normal(40, 12), (1.5 * normal(40, 12, seed=1) + 0.5).relu()
    directions = random_directions(1000, 12)
    assert torch.allclose(directions.norm(dim=1), torch.ones(1000, dtype=torch.float64))
    ranked = [(features @ directions.T).sort(dim=0).values for features in (x, y)]
    total = float((ranked[0] - ranked[1]).square().sum())
    assert mind(x, y) == pytest.approx(3 * 12 / (40 * 1000) * total, rel=1e-12)


def test_wasserstein_matches_equal_quantiles_of_sets_of_different_size():
    x, y = normal(3, 6).sort(1).values, normal(3, 4, seed=1).sort(1).values
    expected = (x.repeat_interleave(2, 1) - y.repeat_interleave(3, 1)).square().mean(1)
    assert torch.allclose(wasserstein_1d_squared(x, y), expected)


def test_a_weight_of_two_is_the_same_as_two_equal_values():
    x, y = normal(3, 5).sort(1).values, normal(3, 4, seed=1).sort(1).values
    counts_x, counts_y = torch.tensor([1, 2, 1, 3, 1]), torch.tensor([2, 1, 1, 1])
    repeated = [v.repeat_interleave(n, 1) for v, n in ((x, counts_x), (y, counts_y))]
    weights = [7.0 * n.double().expand(3, -1) for n in (counts_x, counts_y)]
    expected = wasserstein_1d_squared(*repeated)
    assert torch.allclose(weighted_wasserstein_1d_squared(x, y, *weights), expected)


def test_frechet_distance_of_gaussians_in_closed_form():
    x = gaussian(50, [1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]])
    y = gaussian(70, [0.0, -1.0], [[1.0, -0.3], [-0.3, 3.0]], seed=1)
    # In two dimensions the trace of a root is (trace + 2 det^(1/2))^(1/2).
    product = torch.cov(x.T) @ torch.cov(y.T)
    root = math.sqrt(float(product.trace()) + 2 * math.sqrt(float(product.det())))
    assert frechet_distance(x, y) == pytest.approx(1 + 9 + 3 + 4 - 2 * root, rel=1e-9)


def test_frechet_distance_copes_with_fewer_images_than_dimensions():
    x, y = normal(10, 30), normal(12, 30, seed=1)
    assert 0 < frechet_distance(x, y) < 200
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_replicate_is_the_same_as_measuring_its_part_alone(measure, weighted):
    labels = torch.arange(40) % 3
    weights = 1 + labels.double() if weighted else torch.ones(40).double()
    x = FeatureSample(normal(40, 5), weights, labels)
    y = build_sample(normal(30, 5, seed=1) + 0.5, torch.arange(30) % 3)
    keep_x = torch.rand(3, 40, generator=torch.Generator().manual_seed(2)) < 0.7
    keep_y = torch.rand(3, 30, generator=torch.Generator().manual_seed(3)) < 0.6
    values = measure(x, y, keep_x, keep_y)
    for value, mask_x, mask_y in zip(values, keep_x, keep_y, strict=True):
        part_x, part_y = x.select(mask_x), y.select(mask_y)
        masks = [torch.ones(1, len(part), dtype=torch.bool) for part in (part_x, part_y)]
        assert float(value) == pytest.approx(float(measure(part_x, part_y, *masks)), rel=1e-9)


def test_distances_agree_with_torch_fidelity():
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = normal(200, 40).exp(), (1.1 * normal(200, 40, seed=1)).exp()
    statistics = [fid.fid_features_to_statistics(features) for features in (x, y)]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)
    ours = frechet_distance(x, y)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    settings = {
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
    }
    kernels = [
        kid.kernel_poly(a.numpy(), b.numpy(), **settings) for a, b in ((x, x), (x, y), (y, y))
    ]
    assert kernel_distance(x, y) == pytest.approx(float(kid.mmd2(*kernels)), rel=1e-6)
