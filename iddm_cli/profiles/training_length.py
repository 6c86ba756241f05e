"""The length of a training: its steps, and whether they are enough to learn anything."""

import math
from dataclasses import dataclass
from typing import Literal

from iddm_cli.profiles.choices import list_names
from iddm_cli.profiles.settings import TrainingSettings


def count_steps(settings: TrainingSettings, images: int) -> int:
    """Return how many updates a training makes on so many images."""
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None, "a profile has steps or epochs"
    return math.ceil(settings.epochs * images / settings.batch_size)


def count_warmup_steps(settings: TrainingSettings, total: int) -> int:
    """Return the number of warm-up steps, over which the learning rate rises."""
    if settings.lr_schedule == "warmup_cosine" and settings.warmup_steps == 0:
        return max(1, total // 20)
    return settings.warmup_steps


MIN_STEPS, MIN_IMAGES = 200, 4_000
"""A shorter training generates noise, measured with the network of the demo profile.

Six kinds of defects and ten of clothes at 32 x 32, AdamW, batch 64, lr 1e-3: noise after 25, 50 and
100 steps, shapes after 200, clear images after 400. With batch 8: blurred noise after 200 steps
(1,600 images), clear images after 800 (6,400).
"""

GOOD_STEPS, GOOD_IMAGES = 500, 8_000
"""What a first training should have at least, by the same measurements."""

TEST_STEPS = 20
"""Who asks for no more steps than this tests the setup, and wants no model."""

FEW_IMAGES = 50

PASSES_BEFORE_COPIES = 200
"""Passes over the images after which a model begins to memorize them.

Measured with three classes of 30 images (docs/evaluating.md): the held-out loss is lowest after 196
passes; there are no copies after 178, 5 % after 356 and 55 % after 711. The number of steps grows
in proportion to the images (Bonnaire et al. 2025, arXiv:2505.17638), so that of passes is the same.
"""

FAR_BEYOND = 2
"""From how many times the suggested steps a number of steps that was chosen is too large."""

AUGMENT = 0.12
"""Probability of each change with `data.augment: auto`: that of Karras et al. 2022
(arXiv:2206.00364, appendix F.2) for CIFAR-10."""

SMALL_SET, AUGMENTED_PASSES = 5_000, 100
"""`data.augment: auto` augments fewer images than this, if each is trained on that often.

In trainings that end long before a model memorizes, changed images only take time from others. The
number of images is a choice: the paper augments up to 70,000, but trains for thousands of passes.
"""

LONG_WARMUP = 0.5
"""Share of the steps from which the warm-up is reported as too long."""


@dataclass(frozen=True)
class LengthAdvice:
    """What to know about the length of a training.

    Attributes:
        is_warning: Whether training would be in vain or much worse.
        text: The problem, and the option that changes it.
    """

    is_warning: bool
    text: str


def is_too_short(settings: TrainingSettings, steps: int) -> bool:
    """Return whether a training of so many steps generates noise."""
    return steps < MIN_STEPS or steps * settings.batch_size < MIN_IMAGES


def is_test(settings: TrainingSettings) -> bool:
    """Return whether the steps asked for can only be meant as a test of the setup."""
    return settings.steps is not None and settings.steps <= TEST_STEPS


def suggest_steps(settings: TrainingSettings) -> int:
    """Return the number of steps that a first training should have, in whole hundreds."""
    return 100 * math.ceil(max(GOOD_STEPS, GOOD_IMAGES / settings.batch_size) / 100)


def count_passes(settings: TrainingSettings, images: int) -> float:
    """Return how often a training takes each image."""
    return count_steps(settings, images) * settings.batch_size / images


def choose_augment(settings: TrainingSettings, images: int) -> float | Literal["off"]:
    """Return what `data.augment: auto` stands for: few images that are trained on often."""
    is_often = count_passes(settings, images) >= AUGMENTED_PASSES
    return AUGMENT if images < SMALL_SET and is_often else "off"


def count_steps_before_copies(settings: TrainingSettings, images: int) -> int:
    """Return about how many steps a model of so many images takes to begin to memorize them.

    At least as many as generate clear images: less than 40 images are memorized before that.
    """
    steps = math.ceil(PASSES_BEFORE_COPIES * images / settings.batch_size)
    return max(steps, suggest_steps(settings))


def is_too_long(settings: TrainingSettings, images: int) -> bool:
    """Return whether a model of few images would memorize them, and nothing ends the training.

    Steps that were chosen may be more than those suggested; epochs, also those of the default, not.
    """
    if images >= SMALL_SET or settings.stop_when is not None:
        return False
    factor = 1 if settings.steps is None else FAR_BEYOND
    return count_steps(settings, images) > factor * count_steps_before_copies(settings, images)


def advise_length(
    settings: TrainingSettings, images: int, *, resumed: bool = False, augmented: bool = False
) -> list[LengthAdvice]:
    """Return what is wrong with the length of a training on so many images.

    Args:
        settings: The training section.
        images: Number of training images.
        resumed: Whether the run was started before.
        augmented: Whether `data.augment` postpones memorizing.
    """
    steps = count_steps(settings, images)
    advice = []
    starts = [int(entry[0]) for entry in settings.extensions if int(entry[0]) < steps]
    if starts and not resumed:
        text = (
            f"the profile is that of a run that was extended at step {starts[0]:,}, and so is its "
            "learning rate; --set training.extensions=[] trains with one schedule"
        )
        advice.append(LengthAdvice(False, text))
    if is_too_short(settings, steps):
        advice.append(_advise_steps(settings, images, steps))
    if not resumed and is_too_long(settings, images):
        advice.append(_advise_fewer_steps(settings, images, augmented=augmented))
    warmup = count_warmup_steps(settings, steps)
    if warmup > 1 and warmup >= LONG_WARMUP * steps:
        reached = settings.lr * min(1.0, steps / warmup)
        advice.append(
            LengthAdvice(
                True,
                f"the warm-up takes {warmup:,} steps, and the training has {steps:,}: the learning "
                f"rate reaches {reached:.2g}; --set training.warmup_steps={max(1, steps // 20)}",
            )
        )
    if settings.batch_size > images:
        times = settings.batch_size / images
        smaller = f"; --batch-size {images} takes each once" if images > 1 else ""
        advice.append(
            LengthAdvice(
                False,
                f"each update takes {settings.batch_size} images and there are {images:,}, so it "
                f"takes each {times:.2g} times{smaller}",
            )
        )
    if images < FEW_IMAGES:
        counted = "1 image" if images == 1 else f"{images} images"
        text = f"with {counted} in all, a model memorizes them instead of generalizing; add images"
        advice.append(LengthAdvice(False, text))
    if steps >= MIN_STEPS and max(settings.checkpoint_every, settings.checkpoint_from) > steps:
        advice.append(
            LengthAdvice(
                False,
                f"the only checkpoint is that of the last step, {steps:,}: a crash before it loses "
                f"everything; --set training.checkpoint_every={max(1, steps // 10)}",
            )
        )
    return advice


def _advise_fewer_steps(
    settings: TrainingSettings, images: int, *, augmented: bool
) -> LengthAdvice:
    """Return how to train on few images no longer than until the model memorizes them."""
    passes, good = count_passes(settings, images), count_steps_before_copies(settings, images)
    remedies = [
        f"--steps {good}",
        "--set training.stop_when=held_out_worse, which ends the run in time",
        *([] if augmented else ["--set data.augment=auto, which postpones it"]),
    ]
    text = (
        f"the training takes each image {passes:,.0f} times, and a model may copy its images after "
        f"about {PASSES_BEFORE_COPIES}; {list_names(remedies)}"
    )
    return LengthAdvice(False, text)


def _advise_steps(settings: TrainingSettings, images: int, steps: int) -> LengthAdvice:
    good = suggest_steps(settings)
    if is_test(settings):
        return LengthAdvice(
            False, f"{steps} steps only test the setup; for a first model: --steps {good}"
        )
    noun = "step" if steps == 1 else "steps"
    plan = f"{steps:,} {noun} of {settings.batch_size} images"
    if settings.steps is None:
        counted = "1 image" if images == 1 else f"{images:,} images"
        plan = f"{settings.epochs:,} epochs of {counted} are only {plan}"
    return LengthAdvice(
        True, f"{plan}: too few to learn anything, so the images will be noise; --steps {good}"
    )
