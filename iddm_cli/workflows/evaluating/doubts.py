"""Doubts: what to know before the numbers of an evaluation are trusted, as sentences."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.evaluation.results import FeatureSummary

ENOUGH_IMAGES = 500
WEAK_ACCURACY = 0.6
WEAK_RATIO = 3
"""Times the accuracy of guessing, below which a feature network is weak."""


def list_doubts(
    real: "ImageSet", generated: "ImageSet", features: "FeatureSummary"
) -> Iterator[str]:
    """Yield what to know before the numbers are trusted."""
    for images in (real, generated):
        if len(images) < ENOUGH_IMAGES:
            yield (
                f"{len(images):,} images are few ({images.name}): the numbers vary much, and "
                f"distances are too high; compare only numbers of equal counts ({ENOUGH_IMAGES} "
                "or more are better)"
            )
    if math.isnan(features.accuracy):
        yield "the feature network could not be tested, since there are no other images"
    elif is_weak(features):
        yield (
            f"the feature network is weak: it tells {features.task} apart with an accuracy of "
            f"{features.accuracy:.0%} (guessing: {features.chance:.0%}), so distances in its "
            "features and class agreement say little"
        )


def is_weak(features: "FeatureSummary") -> bool:
    """Return whether a feature network is hardly better than guessing."""
    wanted = WEAK_RATIO * features.chance
    if wanted >= 1:  # of two or three classes: halfway from guessing to no errors
        wanted = (1 + features.chance) / 2
    return features.accuracy < max(WEAK_ACCURACY, wanted)
