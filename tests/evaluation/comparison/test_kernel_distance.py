import pytest
import torch

from iddm_cli.evaluation.comparison.kernel_distance import kernel_distance, measure_kid
from iddm_cli.evaluation.comparison.samples import FeatureSample, build_sample, match_proportions


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kernel(x, y):
    return (float(x @ y) / len(x) + 1) ** 3


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def measure(x, y):
    masks = [torch.ones(1, len(sample), dtype=torch.bool) for sample in (x, y)]
    return float(measure_kid(x, y, *masks))


def independent_pairs(x, c, y, d):
    """The mean kernel of an image of class c and another one of class d."""
    own, other = x.features[x.labels == c], y.features[y.labels == d]
    same = x is y and c == d
    return mean(
        kernel(a, b) for i, a in enumerate(own) for j, b in enumerate(other) if not same or i != j
    )


def test_it_is_the_unbiased_estimate_over_all_pairs():
    x, y = normal(6, 3), normal(5, 3, seed=1) + 1
    within = [
        mean(kernel(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j)
        for a in (x, y)
    ]
    between = mean(kernel(a, b) for a in x for b in y)
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * between, rel=1e-9)


def test_with_classes_it_is_the_mean_of_all_images_and_of_each_class():
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 2, 2, 2, 2])
    x = FeatureSample(normal(10, 3), torch.ones(10).double(), labels)
    y = build_sample(normal(8, 3, seed=1) + 0.5, torch.tensor([0, 1, 1, 0, 2, 1, 1, 2]))
    x = match_proportions(x, y)
    shares = [0.25, 0.5, 0.25]

    def discrepancy(c, d):
        found = [independent_pairs(a, c, b, d) for a, b in ((x, x), (y, y), (x, y), (y, x))]
        return shares[c] * shares[d] * (found[0] + found[1] - found[2] - found[3])

    whole = sum(discrepancy(c, d) for c in range(3) for d in range(3))
    within = sum(discrepancy(c, c) for c in range(3)) / sum(share**2 for share in shares)
    assert measure(x, y) == pytest.approx((whole + within) / 2, rel=1e-9)


def test_a_class_of_one_image_and_one_without_any_are_measured():
    x = build_sample(normal(7, 3), torch.tensor([0, 0, 0, 1, 2, 2, 2]))
    y = build_sample(normal(6, 3, seed=1), torch.tensor([0, 0, 1, 1, 1, 1]))
    assert torch.tensor(measure(x, y)).isfinite()


@pytest.mark.parametrize("classes", [1, 4])
def test_it_is_zero_on_average_for_samples_of_one_distribution(classes):
    generator = torch.Generator().manual_seed(0)
    centres = 2 * normal(classes, 5)

    def draw(count):
        labels = torch.arange(count) % classes
        noise = torch.randn(count, 5, generator=generator, dtype=torch.float64)
        return build_sample(centres[labels] + noise, labels)

    values = torch.tensor([measure(draw(24), draw(40)) for _ in range(150)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / 150**0.5
    assert float((values < 0).double().mean()) > 0.2


def test_more_rows_than_are_in_memory_at_once(monkeypatch):
    x, y = normal(30, 3), normal(20, 3, seed=1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("iddm_cli.evaluation.comparison.kernel_distance.ROWS", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)
