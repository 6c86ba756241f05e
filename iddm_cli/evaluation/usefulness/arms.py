"""Arms: the ways to compose a training set that are compared with each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

RATIOS = (0.25, 0.5, 1.0, 2.0)
"""Generated images per real one, in the arms that mix both."""


@dataclass(frozen=True)
class Arm:
    """One way to compose the training set.

    Attributes:
        name: What the report calls it.
        real: How often each real image is used.
        generated: Number of generated images per real one.
        augment: Whether images are flipped, rotated and cropped at random.
    """

    name: str
    real: int = 1
    generated: float = 0.0
    augment: bool = False


def build_arms(ratios: Sequence[float] = RATIOS, *, available: float = math.inf) -> tuple[Arm, ...]:
    """Return all arms.

    The duplicates have as many images as the largest mixture of `ratios` would have.

    Args:
        ratios: Generated images per real one; a larger one than there are becomes `available`.
        available: Generated images per real one that there are.
    """
    duplicates = 1 + math.ceil(max(ratios))
    reached = sorted({min(ratio, available) for ratio in ratios})
    return (
        Arm("real only"),
        Arm("real, augmented", augment=True),
        Arm(f"real, {duplicates} times each", real=duplicates),
        *(
            Arm(f"real + generated {ratio:.3g} : 1", generated=ratio, augment=True)
            for ratio in reached
        ),
        Arm("generated only", real=0, generated=reached[-1], augment=True),
    )
