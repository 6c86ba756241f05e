"""Quality: every number that says how close generated images are to real ones."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.comparison.agreement import Answers, measure_agreement
from iddm_cli.evaluation.comparison.pair_measurement import measure_pair
from iddm_cli.evaluation.comparison.quality_metrics import QUALITY_METRICS
from iddm_cli.evaluation.comparison.samples import COMPARED, FeatureSample, build_pair, build_sample
from iddm_cli.evaluation.features.extractor import FeatureExtractor
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.results import ClassQuality, Quality

SCARCE = 10
"""Fewer real images of a class vary much."""

HEAVY = 3
"""Times that a real image counts to match the proportions of classes, above which that matters."""


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

    If both sets have classes, distances compare the joint distributions of image and class, and
    real images are weighted so that their classes have the proportions of the generated ones.

    Args:
        real: Real images that nothing was trained on.
        generated: Generated images of the same shape.
        extractor: The feature network of the dataset.
        intervals: Whether to compute 95 % intervals.
        per_class: Whether to measure each class as well.
        progress: Called after every batch, every number and every class.
    """
    named = real.has_classes and generated.has_classes
    x, y = (
        build_sample(extractor.features(images, progress), images.labels if named else None)
        for images in (real, generated)
    )
    pair = build_pair(x, y)
    numbers = measure_pair(pair, QUALITY_METRICS, intervals=intervals, progress=progress)
    quality = Quality(numbers, warnings=_describe_problems(real, generated, named=named))
    if not named:
        return quality
    if per_class:
        classes = _measure_classes(real.classes, x, y, intervals=intervals, progress=progress)
        quality = replace(quality, classes=classes)
    if extractor.summary.task != "classes":
        return quality
    answers = []
    for images in (real, generated):
        assert images.labels is not None, "both have classes"
        answers.append(Answers(images.labels, extractor.predict(images, progress)))
    return _add_agreement(quality, *answers, count=len(real.classes))


def _measure_classes(
    names: tuple[str, ...],
    real: FeatureSample,
    generated: FeatureSample,
    *,
    intervals: bool,
    progress: ProgressCallback,
) -> tuple[ClassQuality, ...]:
    """Measure the images of each class."""
    assert real.labels is not None and generated.labels is not None, "both have classes"
    keys = [key for key, row in QUALITY_METRICS.items() if row.per_class]
    classes = []
    for label, name in enumerate(names):
        x, y = (
            build_sample(sample.features[sample.labels == label]) for sample in (real, generated)
        )
        numbers = measure_pair(build_pair(x, y), keys, intervals=intervals)
        classes.append(ClassQuality(name, len(x), len(y), numbers))
        progress("comparing classes", label + 1, len(names))
    return tuple(classes)


def _add_agreement(quality: Quality, real: Answers, generated: Answers, *, count: int) -> Quality:
    """Return the quality with the class agreement of all images and of each class."""
    agreement = measure_agreement(real, generated)
    numbers = {**quality.numbers, **({"agreement": agreement} if agreement else {})}
    classes = []
    for label, one in enumerate(quality.classes):
        own = measure_agreement(real.of_class(label), generated.of_class(label))
        classes.append(
            replace(one, numbers={**one.numbers, "agreement": own}) if own is not None else one
        )
    confusion = generated.confusion(count)
    return replace(quality, numbers=numbers, classes=tuple(classes), confusion=confusion)


def _describe_problems(real: ImageSet, generated: ImageSet, *, named: bool) -> tuple[str, ...]:
    """Return what to know before the numbers are trusted."""
    problems = [
        f"{COMPARED:,} random ones of the {len(images):,} images of {images.name} are compared"
        for images in (real, generated)
        if len(images) > COMPARED
    ]
    if not named:
        return tuple(problems)
    counts = [
        images.labels.bincount(minlength=len(real.classes)).double()
        for images in (real, generated)
        if images.labels is not None
    ]
    missing = int(((counts[0] > 0) & (counts[1] == 0)).sum())
    if missing:
        problems.append(
            f"{missing:,} of {len(real.classes):,} classes have no generated image, which makes"
            " every distance larger"
        )
    unknown = (counts[0] == 0) & (counts[1] > 0)
    if bool(unknown.any()):
        problems.append(
            f"{int(counts[1][unknown].sum()):,} generated images belong to classes without a real"
            " image to compare with; only class agreement counts them"
        )
    return (*problems, *_describe_proportions(real.classes, *counts))


def _describe_proportions(names: tuple[str, ...], real: Tensor, generated: Tensor) -> Iterator[str]:
    """Yield where real images are weighted, and where few of them count much.

    Args:
        names: Names of the classes.
        real: Number of real images of each class, float64 [K].
        generated: Number of generated images of each class, float64 [K].
    """
    shares = [counts / counts.sum() for counts in (real, generated)]
    if float((shares[0] - shares[1]).abs().sum()) > 0.1:
        yield (
            "the classes have other proportions than in the real images, which are weighted to"
            " match"
        )
    is_heavy = (real > 0) & (real < SCARCE) & (shares[1] > HEAVY * shares[0])
    heavy = [name for name, one in zip(names, is_heavy.tolist(), strict=True) if one]
    if heavy:
        others = f" and {len(heavy) - 1:,} more" if len(heavy) > 1 else ""
        yield (
            f"the numbers depend on very few real images: the {int(real[is_heavy].sum())} of"
            f" {heavy[0]}{others} count as much as {float(shares[1][is_heavy].sum()):.0%} of all"
        )
