"""Study: the images that all arms share, and what each arm makes of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.usefulness.arms import Arm
from iddm_cli.evaluation.usefulness.classifier import BATCH_SIZE, TrainingImages, reduce_pixels
from iddm_cli.evaluation.usefulness.mirroring import allows_mirroring
from iddm_cli.evaluation.usefulness.training_sets import (
    available_ratio,
    choose_generated,
    choose_real,
)

MAX_TESTED = 2000
"""Of more held-out images, as many are chosen at random: the interval is narrow by then."""

EPOCHS = 12
"""Epochs of the largest mixture; the other arms repeat their images more often."""

MIN_UPDATES, MAX_UPDATES = 150, 600


@dataclass(frozen=True)
class Study:
    """What all arms share.

    Attributes:
        pixels: Levels of the real and then of the generated images, uint16 [N + M, C, H, W].
        real: Classes of the real images, int64 [N].
        generated: Classes of the generated images, int64 [M].
        test_pixels: Levels of the held-out images that are tested on, uint16 [T, C, H, W].
        test_labels: Their classes, int64 [T].
        num_classes: Number of classes.
        real_per_class: Real images of each class at most.
        mirror: Whether augmentation mirrors images.
        digests: Of the real, the held-out and the generated images.
    """

    pixels: Tensor
    real: Tensor
    generated: Tensor
    test_pixels: Tensor
    test_labels: Tensor
    num_classes: int
    real_per_class: int
    mirror: bool
    digests: tuple[str, str, str]

    def choose_real(self, seed: int) -> Tensor:
        """Return the indices of the real images of a seed, int64 [R]."""
        return choose_real(self.real, per_class=self.real_per_class, seed=seed)

    def choose_generated(self, arm: Arm, seed: int) -> Tensor:
        """Return the indices of the generated images of an arm, int64 [G]."""
        real = self.real[self.choose_real(seed)]
        return choose_generated(self.generated, real, ratio=arm.generated, seed=seed)

    def available_ratio(self) -> float:
        """Return how many generated images there are for each real one."""
        return available_ratio(self.generated, self.real[self.choose_real(0)])

    def count_updates(self, largest_ratio: float) -> int:
        """Return the number of updates of every arm.

        Args:
            largest_ratio: Generated images per real one, in the largest mixture.
        """
        images = len(self.choose_real(0)) * (1 + largest_ratio)
        return round(min(max(EPOCHS * images / BATCH_SIZE, MIN_UPDATES), MAX_UPDATES))

    def compose(self, arm: Arm, seed: int) -> TrainingImages:
        """Return the training set of an arm and a seed."""
        real = self.choose_real(seed).repeat(arm.real)
        rows = torch.cat([real, len(self.real) + self.choose_generated(arm, seed)])
        return TrainingImages(
            pixels=MemoryStore(self.pixels).read(rows),
            labels=torch.cat([self.real, self.generated])[rows],
            num_classes=self.num_classes,
            augment=arm.augment,
            mirror=self.mirror,
        )

    def describe(self, arm: Arm, seed: int) -> dict[str, object]:
        """Return the facts that decide the training set of an arm, and what it is tested on."""
        real, held_out, generated = self.digests
        return {
            "real": real,
            "held_out": held_out,
            "generated": generated if arm.generated else "",
            "real_per_class": self.real_per_class,
            "repeated": arm.real,
            "ratio": arm.generated,
            "augment": arm.augment,
            "mirror": self.mirror,
            "seed": seed,
        }


def prepare_study(
    training: ImageSet, held_out: ImageSet, generated: ImageSet, *, real_per_class: int | None
) -> Study:
    """Reduce all images, and choose those to test on.

    Args:
        training: Real images to train on.
        held_out: Real images to test on.
        generated: Generated images.
        real_per_class: Real images of each class; None, or more than there are: all of them.
    """
    test = held_out.select(choose_tested(held_out, training))
    real, test_labels, generated_labels = (
        _labels_of(images) for images in (training, test, generated)
    )
    real_pixels = reduce_pixels(training)
    most = int(real.bincount().max())
    return Study(
        pixels=torch.cat([real_pixels, reduce_pixels(generated)]),
        real=real,
        generated=generated_labels,
        test_pixels=reduce_pixels(test),
        test_labels=test_labels,
        num_classes=len(training.classes),
        real_per_class=min(real_per_class or most, most),
        mirror=allows_mirroring(real_pixels, real),
        digests=(training.digest, held_out.digest, generated.digest),
    )


def choose_tested(held_out: ImageSet, training: ImageSet) -> Tensor:
    """Return the indices of the images to test on, which are of classes trained on, int64 [T]."""
    trained = _labels_of(training).bincount(minlength=len(training.classes)) > 0
    order = randomness.permutation(0, "usefulness-test", step=0, count=len(held_out))
    return order[trained[_labels_of(held_out)[order]]][:MAX_TESTED].sort().values


def _labels_of(images: ImageSet) -> Tensor:
    assert images.labels is not None, "images with classes"
    return images.labels
