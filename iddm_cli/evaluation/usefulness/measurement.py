"""Measurement of usefulness: train the classifiers of all arms and seeds, and compare the arms."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine import randomness
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import ArmSummary, Usefulness
from iddm_cli.evaluation.usefulness.arms import RATIOS, Arm, build_arms
from iddm_cli.evaluation.usefulness.classifier import (
    BATCH_SIZE,
    TrainingImages,
    predict,
    reduce_pixels,
    train_classifier,
)
from iddm_cli.evaluation.usefulness.comparison import (
    decide,
    mean_interval,
    measure_gain,
    split_halves,
)
from iddm_cli.evaluation.usefulness.finished_classifiers import FinishedClassifiers
from iddm_cli.evaluation.usefulness.training_sets import (
    available_ratio,
    choose_generated,
    choose_real,
    compose,
)

SEEDS = 5
MAX_TESTED = 2000
"""Of more held-out images, as many are chosen at random: the interval is narrow by then."""

EPOCHS = 12
"""Epochs of the largest mixture; the other arms repeat their images more often."""

MIN_UPDATES, MAX_UPDATES = 150, 600


def measure_usefulness(
    training: ImageSet,
    held_out: ImageSet,
    generated: ImageSet,
    *,
    real_per_class: int | None = None,
    seeds: int = SEEDS,
    ratios: Sequence[float] = RATIOS,
    folder: Path | None = None,
    left_out: Mapping[str, int] | None = None,
    progress: ProgressCallback = no_progress,
) -> Usefulness:
    """Measure whether generated images help to train a classifier.

    Args:
        training: Real images to train on.
        held_out: Real images to test on.
        generated: Generated images, of the same size and the same classes.
        real_per_class: Real images of each class; None, or more than there are: all of them.
        seeds: Number of classifiers of each arm, at least 2; each has its own real images.
        ratios: Generated images per real one, in the arms that mix both.
        folder: Where finished classifiers are kept; None keeps nothing.
        left_out: Number of generated images that were left out before, by reason.
        progress: Called after every update.

    Raises:
        DatasetError: The images do not have two classes to tell apart.
        UsageError: A setting is out of range.
    """
    _check_settings(real_per_class, seeds, ratios)
    check_images(training, held_out, generated)
    study = _Study.prepare(training, held_out, generated, real_per_class=real_per_class)
    arms = build_arms(ratios, available=study.available())
    updates = study.updates(max(ratios))
    finished = FinishedClassifiers(folder)
    rows = []
    for number in range(len(arms) * seeds):
        seed, arm = divmod(number, len(arms))
        stage = f"classifier {number + 1} of {len(arms) * seeds}"
        rows.append(study.test(arms[arm], seed, updates, finished, stage=stage, progress=progress))
    right = torch.stack(rows).view(seeds, len(arms), -1).transpose(0, 1)
    return _summarize(study, arms, right, left_out or {})


@dataclass(frozen=True)
class _Study:
    """What all arms share.

    Attributes:
        pixels: Levels of the real and then of the generated images, uint16 [N + M, C, H, W].
        real: Classes of the real images, int64 [N].
        generated: Classes of the generated images, int64 [M].
        test_pixels: Levels of the images to test on, uint16 [T, C, H, W].
        test_labels: Their classes, int64 [T].
        num_classes: Number of classes.
        real_per_class: Real images of each class; None: all.
        flip: Whether augmentation mirrors images.
        digests: Of the real, the held-out and the generated images.
    """

    pixels: Tensor
    real: Tensor
    generated: Tensor
    test_pixels: Tensor
    test_labels: Tensor
    num_classes: int
    real_per_class: int | None
    flip: bool
    digests: tuple[str, str, str]

    @classmethod
    def prepare(
        cls,
        training: ImageSet,
        held_out: ImageSet,
        generated: ImageSet,
        *,
        real_per_class: int | None,
    ) -> "_Study":
        """Reduce all images, and choose those to test on."""
        test = held_out.select(choose_tested(held_out, training))
        assert training.labels is not None
        assert generated.labels is not None
        assert test.labels is not None
        return cls(
            pixels=torch.cat([reduce_pixels(training), reduce_pixels(generated)]),
            real=training.labels,
            generated=generated.labels,
            test_pixels=reduce_pixels(test),
            test_labels=test.labels,
            num_classes=len(training.classes),
            real_per_class=real_per_class,
            flip=False,
            digests=(training.digest, held_out.digest, generated.digest),
        )

    def choose_real(self, seed: int) -> Tensor:
        """Return the indices of the real images of a seed, int64 [R]."""
        return choose_real(self.real, per_class=self.real_per_class, seed=seed)

    def choose_generated(self, arm: Arm, seed: int) -> Tensor:
        """Return the indices of the generated images of an arm, int64 [G]."""
        real = self.real[self.choose_real(seed)]
        return choose_generated(self.generated, real, ratio=arm.generated, seed=seed)

    def available(self) -> float:
        """Return how many generated images there are for each real one."""
        return available_ratio(self.generated, self.real[self.choose_real(0)])

    def updates(self, largest_ratio: float) -> int:
        """Return the number of updates, the same for all arms."""
        images = len(self.choose_real(0)) * (1 + largest_ratio)
        return round(min(max(EPOCHS * images / BATCH_SIZE, MIN_UPDATES), MAX_UPDATES))

    def test(
        self,
        arm: Arm,
        seed: int,
        updates: int,
        finished: FinishedClassifiers,
        *,
        stage: str,
        progress: ProgressCallback,
    ) -> Tensor:
        """Return whether the classifier of an arm and a seed names each test image, bool [T]."""
        real, held_out, generated = self.digests
        facts = (
            real, held_out, generated if arm.generated else "", arm.real, arm.generated,
            arm.augment, self.flip, self.real_per_class, seed, updates,
        )  # fmt: skip
        predictions = finished.load(facts, len(self.test_labels))
        if predictions is None:
            images = self.compose(arm, seed)
            network = train_classifier(
                images,
                seed=seed,
                updates=updates,
                after_update=lambda done: progress(stage, done, updates),
            )
            predictions = predict(network, self.test_pixels)
            finished.save(facts, predictions)
        progress(stage, updates, updates)
        return predictions == self.test_labels

    def compose(self, arm: Arm, seed: int) -> TrainingImages:
        """Return the training set of an arm and a seed."""
        generated = self.choose_generated(arm, seed) + len(self.real)
        rows = compose(arm, self.choose_real(seed), generated)
        return TrainingImages(
            pixels=MemoryStore(self.pixels).read(rows),
            labels=torch.cat([self.real, self.generated])[rows],
            num_classes=self.num_classes,
            augment=arm.augment,
            flip=self.flip,
        )


def choose_tested(held_out: ImageSet, training: ImageSet) -> Tensor:
    """Return the indices of the held-out images to test on, int64 [T]."""
    assert held_out.labels is not None
    assert training.labels is not None
    trained = training.labels.bincount(minlength=len(training.classes)) > 0
    order = randomness.permutation(0, "usefulness-test", step=0, count=len(held_out))
    return order[trained[held_out.labels[order]]][:MAX_TESTED].sort().values


def _check_settings(real_per_class: int | None, seeds: int, ratios: Sequence[float]) -> None:
    if real_per_class is not None and real_per_class < 1:
        raise UsageError(
            f"usefulness needs at least one real image of each class, not {real_per_class}",
            "Give a larger number of real images per class.",
        )
    if seeds < 2:
        raise UsageError(
            f"usefulness needs at least two seeds, not {seeds}",
            "One classifier does not show how far another would differ.",
        )
    if not ratios or not all(0 < ratio < math.inf for ratio in ratios):
        raise UsageError(
            f"the ratios of generated to real images must be above 0, not {list(ratios)}",
            "Leave them out for 0.25, 0.5, 1 and 2.",
        )


def check_images(training: ImageSet, held_out: ImageSet, generated: ImageSet) -> None:
    """Check that there are images of at least two classes to train on and to test on.

    Raises:
        DatasetError: There are not.
    """
    for images in (held_out, generated):
        if images.classes != training.classes:
            raise DatasetError(
                f"{images.name} and {training.name} do not have the same classes",
                "Usefulness needs images of the same classes: the same folder names.",
            )
    if not training.has_classes:
        raise DatasetError(
            f"usefulness needs at least two classes, and {training.name} has "
            f"{'one' if training.classes else 'none'}",
            "Give a dataset with a folder for each class, or leave out --usefulness.",
        )
    for images in (training, held_out):
        if images.labels is None or len(images.labels.unique()) < 2:
            raise DatasetError(
                f"usefulness needs images of at least two classes, and {images.name} has fewer",
                "Hold out more images (data.held_out), or leave out --usefulness.",
            )
    if generated.labels is None or len(generated) == 0:
        raise DatasetError(
            f"usefulness needs generated images with classes, and {generated.name} has none",
            "Generate some of each class, or leave out --filter.",
        )


def _summarize(
    study: _Study, arms: Sequence[Arm], right: Tensor, left_out: Mapping[str, int]
) -> Usefulness:
    """Return the result.

    Args:
        study: What all arms share.
        arms: The arms.
        right: Whether each classifier names each test image, bool [A, S, T].
        left_out: Number of generated images left out before, by reason.
    """
    with_generated = [arm.generated > 0 for arm in arms]
    gain = mean_interval(measure_gain(right, split_halves(study.test_labels), with_generated))
    summaries = [_summarize_arm(study, arm, own) for arm, own in zip(arms, right, strict=True)]
    without, best_with = (
        max(
            (one for one, has in zip(summaries, with_generated, strict=True) if has is wanted),
            key=lambda one: one.accuracy.value,
        )
        for wanted in (False, True)
    )
    tested = len(study.test_labels)
    counts = study.real.bincount()
    return Usefulness(
        arms=tuple(summaries),
        best_without=without.name,
        best_with=best_with.name,
        gain=Number(gain.value, low=gain.low, high=gain.high, count=tested),
        verdict=decide(gain, without.accuracy.value),
        left_out=left_out,
        real_per_class=min(study.real_per_class or int(counts.max()), int(counts.max())),
        tested_on=tested,
        seeds=right.shape[1],
    )


def _summarize_arm(study: _Study, arm: Arm, right: Tensor) -> ArmSummary:
    accuracy = mean_interval(right)
    real = study.choose_real(0)
    return ArmSummary(
        name=arm.name,
        real=arm.real * len(real),
        generated=len(study.choose_generated(arm, 0)),
        accuracy=Number(
            accuracy.value,
            low=max(0.0, accuracy.low),
            high=min(1.0, accuracy.high),
            count=right.shape[1],
        ),
        by_seed=tuple(right.double().mean(1).tolist()),
    )
