"""Laws of the numbers, on rendered shapes and, where they are, on real images."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.evaluation.comparison.replicates import keep_all
from iddm_cli.evaluation.comparison.samples import build_pair, build_sample
from iddm_cli.evaluation.features import feature_training
from iddm_cli.evaluation.features.extractor import FeatureExtractor, load_or_train
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.quality import measure_quality
from tests.evaluation.planted import FASHION, fashion
from tests.evaluation.shapes import (
    add_noise,
    blur,
    reduce_contrast,
    remove_classes,
    render_shapes,
    swap_labels,
)

DISTANCES = [key for key, row in QUALITY_METRICS.items() if row.is_distance]
REAL = render_shapes(40, seed=1)
OTHER = render_shapes(40, seed=2)


def measure(extractor, real, generated, **options):
    options = {"intervals": False, "per_class": False} | options
    return measure_quality(real, generated, extractor, **options)


def distances_of(extractor, real, sets) -> dict[str, list[float]]:
    """Return each distance of each set, as measure_quality does, without floors and the rest."""
    x = build_sample(extractor.features(real), real.labels)
    found: dict[str, list[float]] = {key: [] for key in DISTANCES}
    for images in sets:
        pair = build_pair(x, build_sample(extractor.features(images), images.labels))
        for key in DISTANCES:
            row = QUALITY_METRICS[key]
            samples = pair.joint if row.reads_codes else (pair.real, pair.generated)
            value = row.measure(*samples, *map(keep_all, samples))[key]
            found[key].append(max(0.0, float(value)))
    return found


def test_a_set_against_itself_is_zero_or_one(extractor):
    numbers = measure(extractor, REAL, REAL).numbers
    for key in DISTANCES:
        assert numbers[key].value == pytest.approx(0, abs=1e-9)
    for key in ("precision", "recall", "coverage"):
        assert numbers[key].value == 1
    assert numbers["density"].value >= 1
    assert list(numbers) == list(QUALITY_METRICS)


def test_two_halves_sit_at_the_floor(extractor):
    numbers = measure(extractor, REAL, OTHER, intervals=True).numbers
    for key in ("mind", "frechet"):
        assert 0.6 < numbers[key].value / numbers[key].floor < 1.7, key
        assert numbers[key].low < 1.5 * numbers[key].floor
    for key in ("precision", "recall", "density", "coverage", "agreement"):
        assert numbers[key].value == pytest.approx(numbers[key].floor, abs=0.1), key


@pytest.mark.parametrize(
    ("spoil", "strengths"),
    [
        (blur, (0.4, 0.6, 0.9, 1.5)),
        (add_noise, (10, 20, 40)),
        (reduce_contrast, (0.1, 0.2, 0.4)),
        (remove_classes, (1, 2, 3)),
        (swap_labels, (0.15, 0.3, 0.5)),
    ],
)
def test_every_distance_rises_with_every_degradation(extractor, spoil, strengths):
    sets = [OTHER, *(spoil(OTHER, strength) for strength in strengths)]
    for key, values in distances_of(extractor, REAL, sets).items():
        assert values == sorted(values) and len(set(values)) == len(values), (key, values)


def rank_correlation(x, y) -> float:
    """Return Spearman's rank correlation of numbers without ties."""
    ranks = [torch.tensor(values).argsort().argsort().double() for values in (x, y)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


def spoil_step_by_step(images: ImageSet, steps: int = 20) -> Iterator[ImageSet]:
    """Return sets of known order: each makes one degradation of the one before it stronger."""
    kinds: list[tuple[Callable, float]] = [
        (blur, 0.3), (add_noise, 5), (reduce_contrast, 0.08), (swap_labels, 0.1),
    ]  # fmt: skip
    for step in range(1, steps + 1):
        spoiled = images
        for index, (spoil, unit) in enumerate(kinds):
            if times := (step + len(kinds) - 1 - index) // len(kinds):
                spoiled = spoil(spoiled, unit * times)
        yield spoiled


def check_order(extractor: FeatureExtractor, real: ImageSet, images: ImageSet) -> None:
    found = distances_of(extractor, real, spoil_step_by_step(images))
    for key, values in found.items():
        assert len(values) == 20
        assert rank_correlation(values, range(20)) >= 0.95, (key, values)


def test_twenty_degradations_are_ranked_in_their_order(extractor):
    check_order(extractor, REAL, OTHER)


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the real images")
def test_they_are_ranked_on_real_images_by_a_hastily_trained_network(monkeypatch, tmp_path):
    monkeypatch.setattr(feature_training, "EPOCHS", 1)
    real, images = fashion("test", 20), fashion("train", 70)
    first = torch.arange(len(images)) % 70 < 40
    extractor = load_or_train(images.select(first), real, folder=tmp_path)
    assert extractor.summary.accuracy > 0.5
    check_order(extractor, real, images.select(~first))


def test_swapped_labels_are_seen_by_distances_and_agreement_alone(extractor):
    right, wrong = (
        measure(extractor, REAL, images).numbers for images in (OTHER, swap_labels(OTHER, 0.5))
    )
    for key in ("precision", "recall", "density", "coverage"):
        assert wrong[key].value == pytest.approx(right[key].value, abs=0.05)
    assert wrong["agreement"].value < right["agreement"].value - 0.4


def test_without_classes_distances_are_of_the_images_alone(extractor):
    bare = [replace(images, labels=None, classes=()) for images in (REAL, OTHER)]
    plain = measure(extractor, *bare)
    assert "agreement" not in plain.numbers and plain.confusion is None and plain.classes == ()
    mixed = measure(extractor, REAL, bare[1]).numbers
    swapped = measure(extractor, replace(REAL, labels=None), swap_labels(OTHER, 0.5)).numbers
    for key in DISTANCES:
        assert mixed[key].value == plain.numbers[key].value == swapped[key].value


def test_a_sparse_bad_class_shows_in_the_numbers_of_the_class(extractor):
    noisy = add_noise(OTHER, 40)
    bad = OTHER.labels == 2
    pixels = torch.where(bad[:, None, None, None], noisy.pixels, OTHER.pixels)
    quality = measure(extractor, REAL, replace(OTHER, pixels=pixels), per_class=True)
    assert [one.name for one in quality.classes] == list(REAL.classes)
    assert {(one.real, one.generated) for one in quality.classes} == {(40, 40)}
    minds = [one.numbers["mind"].value for one in quality.classes]
    assert minds[2] > 1.5 * max(minds[:2] + minds[3:])
    assert "frechet" not in quality.classes[0].numbers
    assert quality.confusion.sum(dim=1).tolist() == [40] * 4
    hits = int(quality.confusion.diagonal().sum())
    assert quality.numbers["agreement"].value == pytest.approx(hits / 160)


def test_more_images_of_a_class_than_are_real_are_no_fault(extractor):
    few = OTHER.select((OTHER.labels != 1) | (torch.arange(160) < 32))
    quality = measure(extractor, REAL, few)
    assert any("proportions" in warning for warning in quality.warnings)
    for key in ("mind", "frechet"):
        assert quality.numbers[key].value < 1.7 * quality.numbers[key].floor, key


def test_very_few_real_images_that_count_much_are_a_warning(extractor):
    scarce = REAL.select((REAL.labels != 1) | (torch.arange(160) < 8))
    quality = measure(extractor, scarce, OTHER)
    (warning,) = [text for text in quality.warnings if "very few" in text]
    assert "the 2 of square count as much as 25% of all" in warning
    alike = measure(extractor, scarce, OTHER.select((OTHER.labels != 1) | (torch.arange(160) < 8)))
    assert not any("very few" in text for text in alike.warnings)


def test_what_cannot_be_compared_is_said(extractor):
    missing = measure(extractor, REAL, OTHER.select(OTHER.labels > 1))
    assert any(w.startswith("2 of 4 classes have no generated image") for w in missing.warnings)
    unknown = measure(extractor, REAL.select(REAL.labels > 0), OTHER)
    assert any("40 generated images belong to classes" in w for w in unknown.warnings)
    assert unknown.numbers["mind"].count == 120 and unknown.numbers["agreement"].count == 160
    assert measure(extractor, REAL, OTHER).warnings == ()


@pytest.mark.parametrize("counts", [(0, 5), (1, 1), (3, 30), (12, 0)])
def test_too_few_images_have_no_number_rather_than_a_wrong_one(extractor, counts):
    real, generated = (
        images.select(torch.arange(count))
        for images, count in zip((REAL, OTHER), counts, strict=True)
    )
    quality = measure(extractor, real, generated, intervals=True, per_class=True)
    assert "mind" not in quality.numbers
    assert ("agreement" in quality.numbers) == (counts[1] > 0)


def test_measuring_twice_gives_the_same_bits(extractor):
    first, second = (measure(extractor, REAL, OTHER, intervals=True) for _ in range(2))
    assert first.numbers == second.numbers
