"""Usefulness: whether generated images help to train a classifier on few real ones.

Public studies find both outcomes, so the comparison must be able to say no. Each arm trains the
same network on the same real images; the arms differ in what is added to these.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.evaluation.results import Verdict

RATIOS = (0.25, 0.5, 1.0, 2.0)
"""Generated images per real one, in the arms that mix both."""

SEEDS = 5
T_95 = 2.776
"""95 % quantile of Student's t with 4 degrees of freedom, two-sided."""

SMALLEST_GAIN = 0.01
"""A gain in accuracy below one percentage point is no reason to use generated images."""


@dataclass(frozen=True)
class Arm:
    """One way to compose the training set.

    Attributes:
        name: What the report calls it.
        real: How often each real image is used.
        generated: Number of generated images per real one.
        augment: Whether images are flipped, shifted and rotated at random.
    """

    name: str
    real: int = 1
    generated: float = 0.0
    augment: bool = False


def build_arms(ratios: tuple[float, ...] = RATIOS) -> tuple[Arm, ...]:
    """Return all arms; the duplicates have as many images as the largest mixture."""
    duplicates = 1 + math.ceil(max(ratios))
    return (
        Arm("real only"),
        Arm("real, augmented", augment=True),
        Arm(f"real, {duplicates} times each", real=duplicates),
        *(
            Arm(f"real + generated {ratio:g} : 1", generated=ratio, augment=True)
            for ratio in ratios
        ),
        Arm("generated only", real=0, generated=max(ratios), augment=True),
    )


@dataclass(frozen=True)
class ArmResult:
    """What the classifiers of an arm achieved.

    Attributes:
        arm: The arm.
        choice: Accuracy on the images for choosing an arm, one for each seed, [S].
        right: Whether each test image was named rightly, bool [S, N].
    """

    arm: Arm
    choice: Tensor
    right: Tensor

    @property
    def accuracy(self) -> float:
        """Mean accuracy on the test images."""
        return float(self.right.double().mean())


@dataclass(frozen=True)
class Comparison:
    """The best arm with generated images against the best without.

    Attributes:
        with_generated: The arm with generated images that was best on the images for choosing.
        without: The other arm that was.
        gain: Difference of their accuracies on the test images.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    with_generated: ArmResult
    without: ArmResult
    gain: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether generated images help."""
        if self.low > 0:
            return "helps"
        if self.gain <= 0 or self.high < SMALLEST_GAIN:
            return "does not help"
        return "cannot tell"


def compare_arms(results: Mapping[str, ArmResult]) -> Comparison:
    """Compare the best arm with generated images to the best without.

    The arms are chosen on other images than they are compared on: the best of several numbers is
    too good by chance.
    """
    with_generated = _best([result for result in results.values() if result.arm.generated])
    without = _best([result for result in results.values() if not result.arm.generated])
    difference = with_generated.right.double() - without.right.double()
    gain = float(difference.mean())
    margin = T_95 * _standard_error(difference)
    return Comparison(with_generated, without, gain, gain - margin, gain + margin)


def _standard_error(difference: Tensor) -> float:
    """Return the standard error of the mean over seeds and test images, both random, [S, N]."""
    by_seed, by_image = difference.mean(1), difference.mean(0)
    return math.sqrt(float(by_seed.var()) / len(by_seed) + float(by_image.var()) / len(by_image))


def _best(results: list[ArmResult]) -> ArmResult:
    return max(results, key=lambda result: float(result.choice.mean()))


TrainAndTest = Callable[[Arm, int], ArmResult]


def draw_training_set(
    arm: Arm, real: Tensor, generated: Tensor, *, per_class_real: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Return the indices of the real and of the generated images of an arm.

    Args:
        arm: The arm.
        real: Labels of the real images for training, int64 [N].
        generated: Labels of the generated images, int64 [M].
        per_class_real: Number of real images to use of each class, int64 [K].
        seed: Seed of the choice; all arms of one seed use the same real images.
    """
    from iddm_cli.engine import randomness

    chosen_real, chosen_generated = [], []
    for label, count in enumerate(per_class_real.tolist()):
        own = (real == label).nonzero()[:, 0]
        order = randomness.permutation(seed, f"usefulness-{label}", step=0, count=len(own))
        chosen_real.append(own[order[:count]])
        others = (generated == label).nonzero()[:, 0]
        wanted = math.ceil(arm.generated * min(count, len(own)))
        chosen_generated.append(others[:wanted])
    return torch.cat(chosen_real).repeat(arm.real), torch.cat(chosen_generated)
