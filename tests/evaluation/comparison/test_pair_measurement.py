import pytest
import torch

from iddm_cli.evaluation.comparison.pair_measurement import measure_pair
from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.evaluation.comparison.samples import build_pair, build_sample

MEASURED = [key for key, row in QUALITY_METRICS.items() if row.measure]
DISTANCES = [key for key, row in QUALITY_METRICS.items() if row.is_distance]


def draw(count, *, seed, classes=3, scale=1.0, apart=2.0):
    """Draw features of classes with different means."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    means = apart * torch.eye(classes, 8)
    features = scale * torch.randn(count, 8, generator=generator) + means[labels]
    return build_sample(features, labels)


def test_numbers_that_need_more_images_are_absent():
    found = measure_pair(build_pair(draw(15, seed=0), draw(300, seed=1)), QUALITY_METRICS)
    assert set(found) == {"mind"}
    assert set(measure_pair(build_pair(draw(3, seed=0), draw(3, seed=1)), QUALITY_METRICS)) == set()
    many = measure_pair(build_pair(draw(60, seed=0), draw(300, seed=1)), QUALITY_METRICS)
    assert list(many) == MEASURED
    assert {number.count for number in many.values()} == {60}


@pytest.mark.parametrize(("real", "generated"), [(120, 120), (60, 180), (180, 60)])
def test_images_of_the_same_distribution_sit_at_the_floor(real, generated):
    """On average over draws, whatever the counts."""
    values, floors = (dict.fromkeys(MEASURED, 0.0) for _ in range(2))
    draws = 6
    for seed in range(draws):
        pair = build_pair(draw(real, seed=2 * seed), draw(generated, seed=2 * seed + 1))
        for key, number in measure_pair(pair, MEASURED, intervals=False).items():
            values[key] += number.value / draws
            floors[key] += number.floor / draws
    for key in ("mind", "frechet"):
        assert floors[key] == pytest.approx(values[key], rel=0.25), key
    for key in ("precision", "recall", "density", "coverage"):
        assert floors[key] == pytest.approx(values[key], abs=0.12), key
    assert 0.2 < floors["kid"] / values["kid"] < 5


def test_a_worse_set_is_above_the_floor_and_the_interval_of_a_good_one():
    x = draw(120, seed=0)
    good, bad = (
        measure_pair(build_pair(x, draw(120, seed=1, scale=scale)), DISTANCES)
        for scale in (1.0, 1.5)
    )
    for key in DISTANCES:
        assert good[key].low <= good[key].value <= good[key].high
        assert bad[key].value > good[key].high, key
        assert bad[key].low > good[key].value or key == "kid"
        assert bad[key].value > 3 * bad[key].floor, key
        assert bad[key].floor == pytest.approx(good[key].floor), "it is of the real images"


def test_intervals_move_no_value_and_rates_stay_rates():
    pair = build_pair(draw(60, seed=0), draw(60, seed=1))
    plain = measure_pair(pair, MEASURED, intervals=False)
    full = measure_pair(pair, MEASURED)
    for key in MEASURED:
        assert plain[key].value == pytest.approx(full[key].value)
        assert plain[key].low is None and full[key].low is not None
        assert 0 <= full[key].low <= full[key].high <= QUALITY_METRICS[key].highest


def test_an_interval_covers_what_other_images_give():
    """Of intervals of other draws, most contain the mean of the number over draws."""
    numbers = [
        measure_pair(
            build_pair(draw(90, seed=2 * i), draw(90, seed=2 * i + 1, scale=1.2)), ["mind"]
        )
        for i in range(10)
    ]
    found = [number["mind"] for number in numbers]
    mean = sum(number.value for number in found) / len(found)
    assert sum(number.low <= mean <= number.high for number in found) >= 8


def test_swapped_labels_raise_distances_but_no_rates():
    x, y = draw(150, seed=0), draw(150, seed=1)
    swapped = build_sample(y.features, (y.labels + (torch.arange(150) < 50).long()) % 3)
    right, wrong = (measure_pair(build_pair(x, one), MEASURED) for one in (y, swapped))
    for key in DISTANCES:
        assert wrong[key].value > 1.3 * right[key].value, key
    assert wrong["precision"].value == pytest.approx(right["precision"].value, abs=0.02)


def test_proportions_of_classes_do_not_count():
    x, y = draw(150, seed=0, apart=4), draw(150, seed=1, apart=4)
    few = y.select((y.labels < 2) | (torch.arange(150) % 15 == 2))  # a fifth of class 2
    matched = measure_pair(build_pair(x, few), DISTANCES, intervals=False)
    ignored = build_pair(build_sample(x.features), build_sample(few.features))
    unmatched = measure_pair(ignored, DISTANCES, intervals=False)
    assert matched["frechet"].value < 1.5 * matched["frechet"].floor
    assert unmatched["kid"].value > 2 * matched["kid"].value
