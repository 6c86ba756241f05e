import pytest
import torch

from iddm_cli.evaluation.comparison.manifold import (
    manifold_rates,
    measure_rates,
    squared_distances,
)
from iddm_cli.evaluation.comparison.samples import FeatureSample, build_sample


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rates_by_loops(real, generated):
    """The definitions, pair by pair."""

    def radius(of, among, k):
        return sorted(float((of - other).norm()) for other in among)[k]  # itself comes first

    def is_in(x, centres, k):
        return [float((x - c).norm()) <= radius(c, centres, k) for c in centres]

    n, m = len(real), len(generated)
    return (
        sum(any(is_in(y, real, 3)) for y in generated) / m,
        sum(any(is_in(x, generated, 3)) for x in real) / n,
        sum(sum(is_in(y, real, 5)) for y in generated) / (5 * m),
        sum(min(float((x - y).norm()) for y in generated) <= radius(x, real, 5) for x in real) / n,
    )


def test_the_rates_are_those_of_the_definitions():
    real, generated = normal(20, 3), 1.3 * normal(15, 3, seed=1) + 0.4
    rates = manifold_rates(real, generated)
    assert rates == pytest.approx(rates_by_loops(real, generated))
    assert all(0 < rate < 1.5 for rate in rates), "a case that says something"


def test_a_set_against_itself_is_one_and_a_distant_one_zero():
    x = normal(30, 4)
    precision, recall, density, coverage = manifold_rates(x, x)
    assert (precision, recall, coverage) == (1, 1, 1)
    assert density >= 1
    assert manifold_rates(x, x + 100) == (0, 0, 0, 0)


def test_equal_images_are_neighbours_in_spite_of_rounding():
    x = normal(1, 50).repeat(20, 1) + 1000
    rounded = (x.float() * (1 + 1e-7)).double()
    assert manifold_rates(torch.cat([x, normal(10, 50)]), rounded)[0] == 1


def test_a_replicate_is_the_same_as_measuring_its_part_alone():
    x = FeatureSample(normal(40, 4), 1 + torch.arange(40).double())
    y = build_sample(normal(30, 4, seed=1) + 0.5)
    keep_x = torch.rand(3, 40, generator=torch.Generator().manual_seed(2)) < 0.7
    keep_y = torch.rand(3, 30, generator=torch.Generator().manual_seed(3)) < 0.6
    rates = measure_rates(x, y, keep_x, keep_y)
    for r in range(3):
        parts = x.select(keep_x[r]), y.select(keep_y[r])
        masks = [torch.ones(1, len(part), dtype=torch.bool) for part in parts]
        alone = measure_rates(*parts, *masks)
        assert [float(rate[r]) for rate in rates] == pytest.approx([float(rate) for rate in alone])


def test_weights_count_real_images_in_recall_and_coverage():
    x = torch.cat([normal(20, 3), normal(20, 3) + 50])
    weights = torch.tensor([3.0] * 20 + [1.0] * 20).double()
    y = build_sample(x[:20])
    masks = [torch.ones(1, n, dtype=torch.bool) for n in (40, 20)]
    rates = measure_rates(FeatureSample(x, weights), y, *masks)
    assert [float(rate) for rate in rates[:2]] == pytest.approx([1, 0.75])
    assert float(rates.coverage) == pytest.approx(0.75)


def test_squared_distances():
    x, y = normal(5, 3), normal(4, 3, seed=1)
    assert torch.allclose(squared_distances(x, y), torch.cdist(x, y).square())


def test_precision_and_recall_agree_with_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.metric_prc")
    real, generated = normal(80, 5), 1.3 * normal(60, 5, seed=1)
    expected = theirs.calculate_precision_recall_full(generated, real)
    assert manifold_rates(real, generated)[:2] == pytest.approx(expected)
