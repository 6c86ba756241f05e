"""Quality: every number that says how close generated images are to real ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.distances import frechet_distance, kernel_distance, mind
from iddm_cli.evaluation.features.extractor import FeatureExtractor
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.manifold import manifold_rates
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import ClassQuality, Quality


@dataclass(frozen=True)
class QualityMetric:
    """A number of the report.

    Attributes:
        title: What tables call it.
        better: Whether lower or higher values are better.
        smallest: Number of images of each set below which it is left out.
        per_class: Whether it is measured for each class as well.
        has_floor: Whether two halves of the real images have it too.
        summary: What it is, in a sentence.
    """

    title: str
    better: Literal["lower", "higher"]
    smallest: int
    per_class: bool
    has_floor: bool
    summary: str


QUALITY_METRICS: Mapping[str, QualityMetric] = {
    "mind": QualityMetric(
        "MIND", "lower", 10, True, True,
        "Monge Inception Distance: the distance between the distributions of features",
    ),
    "frechet": QualityMetric(
        "Fréchet distance", "lower", 50, False, True,
        "distance between Gaussians fitted to the features; FID is this in features of Inception",
    ),
    "kid": QualityMetric(
        "KID", "lower", 20, True, True,
        "kernel distance of the features, unbiased: near 0 for equal distributions at any count",
    ),
    "precision": QualityMetric(
        "Precision", "higher", 20, True, True,
        "share of the generated images that look like real ones",
    ),
    "recall": QualityMetric(
        "Recall", "higher", 20, True, True,
        "share of the real images that look like generated ones",
    ),
    "density": QualityMetric(
        "Density", "higher", 20, True, True,
        "how deep among real images the generated ones lie; 1 for equal distributions",
    ),
    "coverage": QualityMetric(
        "Coverage", "higher", 20, True, True,
        "share of the real images with a generated one near them",
    ),
    "agreement": QualityMetric(
        "Class agreement", "higher", 1, True, True,
        "share of the generated images in which the feature network sees the class asked for",
    ),
}  # fmt: skip
"""Every number by its key in --json, in the order of the tables; the first is the primary one."""


def measure_quality(
    real: ImageSet,
    generated: ImageSet,
    extractor: FeatureExtractor,
    *,
    intervals: bool = True,
    per_class: bool = True,
    progress: ProgressCallback = no_progress,
) -> Quality:
    """Measure how close generated images are to real ones.

    Args:
        real: Real images that nothing was trained on.
        generated: Generated images of the same shape.
        extractor: The feature network of the dataset.
        intervals: Whether to compute 95 % intervals.
        per_class: Whether to measure each class as well.
        progress: Called after every number.
    """
    del intervals
    features = [extractor.features(images, progress) for images in (real, generated)]
    numbers = _measure(*features)
    named = real.has_classes and generated.has_classes and extractor.summary.task == "classes"
    if not named:
        return Quality(numbers)
    assert real.labels is not None and generated.labels is not None, "both have classes"
    predicted = extractor.predict(generated, progress)
    numbers["agreement"] = _agreement(generated.labels, predicted)
    classes = []
    for label, name in enumerate(real.classes if per_class else ()):
        asked = generated.labels == label
        own = [features[0][real.labels == label], features[1][asked]]
        one = _measure(*own)
        if bool(asked.any()):
            one["agreement"] = _agreement(generated.labels[asked], predicted[asked])
        classes.append(ClassQuality(name, len(own[0]), len(own[1]), one))
    count = len(real.classes)
    cells = generated.labels * count + predicted
    confusion: Tensor = torch.bincount(cells, minlength=count**2)
    return Quality(numbers, tuple(classes), confusion.view(count, count))


def _measure(real: Tensor, generated: Tensor) -> dict[str, Number]:
    count = min(len(real), len(generated))
    values: dict[str, Callable[[], float]] = {
        "mind": lambda: mind(real, generated),
        "frechet": lambda: frechet_distance(real, generated),
        "kid": lambda: kernel_distance(real, generated),
    }
    numbers = {
        key: Number(value(), count=count)
        for key, value in values.items()
        if count >= QUALITY_METRICS[key].smallest
    }
    if count >= QUALITY_METRICS["precision"].smallest:
        for key, value in manifold_rates(real, generated)._asdict().items():
            numbers[key] = Number(value, count=count)
    return numbers


def _agreement(asked: Tensor, seen: Tensor) -> Number:
    return Number(float((asked == seen).double().mean()), count=len(asked))
