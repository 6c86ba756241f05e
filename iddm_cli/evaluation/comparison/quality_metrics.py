"""The numbers of a comparison: one table, which measures, tables, JSON and pages follow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from iddm_cli.evaluation.comparison.distances import measure_frechet, measure_mind
from iddm_cli.evaluation.comparison.kernel_distance import measure_kid
from iddm_cli.evaluation.comparison.manifold import measure_rates
from iddm_cli.evaluation.comparison.samples import FeatureSample

Measure = Callable[[FeatureSample, FeatureSample, Tensor, Tensor], Mapping[str, Tensor]]
"""From two samples and masks of what each replicate keeps, [R, N] and [R, M], to values [R]."""


def _mind(
    x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor
) -> Mapping[str, Tensor]:
    return {"mind": measure_mind(x, y, keep_x, keep_y)}


def _frechet(
    x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor
) -> Mapping[str, Tensor]:
    return {"frechet": measure_frechet(x, y, keep_x, keep_y)}


def _kid(
    x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor
) -> Mapping[str, Tensor]:
    return {"kid": measure_kid(x, y, keep_x, keep_y)}


def _rates(
    x: FeatureSample, y: FeatureSample, keep_x: Tensor, keep_y: Tensor
) -> Mapping[str, Tensor]:
    return measure_rates(x, y, keep_x, keep_y)._asdict()


@dataclass(frozen=True)
class QualityMetric:
    """A number of the report.

    Attributes:
        title: What tables call it.
        better: Whether lower or higher values are better.
        smallest: Number of images of each set below which it is left out.
        per_class: Whether it is measured for each class as well.
        has_floor: Whether two parts of the real images have it too.
        summary: What it is, in a sentence.
        measure: How features are measured; it may return other numbers as well. None for what is
            measured on predicted classes.
        is_distance: Whether it shrinks as images get more, in proportion to 1 / N + 1 / M for
            equal distributions.
        reads_codes: Whether features are measured together with codes of classes.
        highest: Largest value that it can have.
    """

    title: str
    better: Literal["lower", "higher"]
    smallest: int
    per_class: bool
    has_floor: bool
    summary: str
    measure: Measure | None = None
    is_distance: bool = False
    reads_codes: bool = False
    highest: float = float("inf")


QUALITY_METRICS: Mapping[str, QualityMetric] = {
    "mind": QualityMetric(
        "MIND", "lower", 10, True, True,
        "Monge Inception Distance: how far apart the features are along random directions",
        _mind, is_distance=True, reads_codes=True,
    ),
    "frechet": QualityMetric(
        "Fréchet distance", "lower", 50, False, True,
        "distance of Gaussians fitted to the features; FID is this distance for Inception",
        _frechet, is_distance=True, reads_codes=True,
    ),
    "kid": QualityMetric(
        "KID", "lower", 20, True, True,
        "kernel distance of the features, which is 0 on average for equal distributions",
        _kid, is_distance=True,
    ),
    "precision": QualityMetric(
        "Precision", "higher", 20, True, True,
        "share of the generated images that lie among real ones",
        _rates, highest=1.0,
    ),
    "recall": QualityMetric(
        "Recall", "higher", 20, True, True,
        "share of the real images that lie among generated ones",
        _rates, highest=1.0,
    ),
    "density": QualityMetric(
        "Density", "higher", 20, True, True,
        "how densely real images surround the generated ones; about 1 for equal distributions",
        _rates,
    ),
    "coverage": QualityMetric(
        "Coverage", "higher", 20, True, True,
        "share of the real images with a generated one nearby",
        _rates, highest=1.0,
    ),
    "agreement": QualityMetric(
        "Class agreement", "higher", 1, True, True,
        "share of the generated images in which the feature network sees the class asked for",
        highest=1.0,
    ),
}  # fmt: skip
"""Every number by its key in --json, in the order of the tables; the first is the primary one."""
