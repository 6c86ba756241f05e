"""Measurement of usefulness: train the classifiers of all arms and seeds, and compare the arms."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.features.feature_cache import FeatureCache
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import ArmSummary, Usefulness
from iddm_cli.evaluation.usefulness.arms import RATIOS, Arm, build_arms
from iddm_cli.evaluation.usefulness.checks import check_images, check_settings
from iddm_cli.evaluation.usefulness.classifier import FORMAT, predict, train_classifier
from iddm_cli.evaluation.usefulness.comparison import (
    decide,
    mean_interval,
    measure_gain,
    split_halves,
)
from iddm_cli.evaluation.usefulness.study import Study, prepare_study

SEEDS = 5


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

    All arms of a seed train the same network from the same weights, for as many updates, on the
    same real images. With `real_per_class` below the number that the diffusion model was trained
    on, the generated images also bring what the model knows of the real images left out.

    Args:
        training: Real images to train on.
        held_out: Real images to test on.
        generated: Generated images, of the same size and the same classes.
        real_per_class: Real images of each class; None, or more than there are: all of them.
        seeds: Number of classifiers of each arm, at least 2; each has its own choice of images.
        ratios: Generated images per real one, in the arms that mix both.
        folder: Where finished classifiers are kept; None keeps nothing.
        left_out: Number of generated images that were left out before, by reason.
        progress: Called after every update.

    Raises:
        DatasetError: There are no images of two classes to train on and to test on.
        UsageError: A setting is out of range.
    """
    check_settings(real_per_class=real_per_class, seeds=seeds, ratios=ratios)
    check_images(training, held_out, generated)
    study = prepare_study(training, held_out, generated, real_per_class=real_per_class)
    arms = build_arms(ratios, available=study.available_ratio())
    right = _test_arms(study, arms, seeds, study.count_updates(max(ratios)), folder, progress)
    return _summarize(study, arms, right, left_out or {})


def _test_arms(
    study: Study,
    arms: Sequence[Arm],
    seeds: int,
    updates: int,
    folder: Path | None,
    progress: ProgressCallback,
) -> Tensor:
    """Return whether the classifier of each arm and seed names each image, bool [A, S, T]."""
    cache = None if folder is None else FeatureCache(folder)
    right = torch.zeros(len(arms), seeds, len(study.test_labels), dtype=torch.bool)
    for seed in range(seeds):
        for number, arm in enumerate(arms):
            stage = f"classifier {seed * len(arms) + number + 1} of {seeds * len(arms)}"
            facts = {**study.describe(arm, seed), "updates": updates, "recipe": FORMAT}
            name = f"classifier-{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}"
            known = cache.load(name, facts) if cache else None
            if known is None:
                known = {"predicted": _test(study, arm, seed, updates, stage, progress)}
                if cache:
                    cache.save(name, facts, known)
            progress(stage, updates, updates)
            right[number, seed] = known["predicted"] == study.test_labels
    return right


def _test(
    study: Study, arm: Arm, seed: int, updates: int, stage: str, progress: ProgressCallback
) -> Tensor:
    """Return the class that a classifier, newly trained, sees in each test image, int64 [T]."""
    network = train_classifier(
        study.compose(arm, seed),
        seed=seed,
        updates=updates,
        after_update=lambda done: progress(stage, done, updates),
    )
    return predict(network, study.test_pixels)


def _summarize(
    study: Study, arms: Sequence[Arm], right: Tensor, left_out: Mapping[str, int]
) -> Usefulness:
    """Return the result.

    Args:
        study: What all arms share.
        arms: The arms.
        right: Whether each classifier names each test image, bool [A, S, T].
        left_out: Number of generated images left out before, by reason.
    """
    mixed = torch.tensor([arm.generated > 0 for arm in arms])
    gain = mean_interval(measure_gain(right, split_halves(study.test_labels), mixed))
    accuracy = right.double().mean((1, 2))
    best_with = int(accuracy.masked_fill(~mixed, -1).argmax())
    without = int(accuracy.masked_fill(mixed, -1).argmax())
    return Usefulness(
        arms=tuple(_summarize_arm(study, *pair) for pair in zip(arms, right, strict=True)),
        best_without=arms[without].name,
        best_with=arms[best_with].name,
        gain=Number(gain.value, low=gain.low, high=gain.high, count=right.shape[2]),
        verdict=decide(gain, float(accuracy[without])),
        left_out=left_out,
        real_per_class=study.real_per_class,
        real_available=int(study.real.bincount().max()),
        tested_on=right.shape[2],
        seeds=right.shape[1],
    )


def _summarize_arm(study: Study, arm: Arm, right: Tensor) -> ArmSummary:
    accuracy = mean_interval(right)
    return ArmSummary(
        name=arm.name,
        real=arm.real * len(study.choose_real(0)),
        generated=len(study.choose_generated(arm, 0)),
        accuracy=Number(
            accuracy.value,
            low=max(0.0, accuracy.low),
            high=min(1.0, accuracy.high),
            count=right.shape[1],
        ),
        by_seed=tuple(right.double().mean(1).tolist()),
    )
