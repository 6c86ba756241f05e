"""Copies: generated images that are training images, also mirrored, shifted or brightened.

A generated image counts as a copy if its nearest training image is less than a third as far away as
the second-nearest. Real held-out images, measured alike, show how often that happens without any
copying.
"""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.engine import randomness
from iddm_cli.errors import DatasetError
from iddm_cli.evaluation.comparison.intervals import wilson_interval
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.neighbours.feature_search import FeatureSearch
from iddm_cli.evaluation.neighbours.nearest_images import NearestImages
from iddm_cli.evaluation.neighbours.pixel_search import PixelSearch
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import ClosePair, Copies

SHOWN_PAIRS = 24
MOST_HELD_OUT = 1000
"""Held-out images that the floor is measured on, at most."""


class Featurizer(Protocol):
    """What turns images into feature vectors."""

    def features(self, images: ImageSet, progress: ProgressCallback = no_progress) -> Tensor:
        """Return the feature vectors, float32 [N, D]."""
        ...


def find_copies(
    generated: ImageSet,
    training: ImageSet,
    held_out: ImageSet,
    extractor: Featurizer,
    *,
    progress: ProgressCallback = no_progress,
) -> Copies:
    """Return how many generated images are copies of training images, and the closest pairs.

    Flat images, which show nothing, are never copies. A single training image has no second-nearest
    beside it: in pixels, an image that has nothing in common with it takes that place; features
    find no copies then.

    Args:
        generated: The generated images.
        training: The images that the model was trained on, at least one.
        held_out: Real images that it was not trained on; without any there is no floor.
        extractor: The feature network.
        progress: Called while images are read and compared.

    Raises:
        DatasetError: There are no training images.
    """
    if not len(training):
        raise DatasetError("there are no training images that could have been copied")
    held_out = _sample(held_out)
    search = PixelSearch(training, progress)
    by_pixels, pixel_floor = (
        search.find_nearest(images, progress) for images in (generated, held_out)
    )
    feature_search = FeatureSearch(extractor.features(training, progress), search.originals)
    by_features, feature_floor = (
        feature_search.find_nearest(_mirrored_features(images, extractor, progress)).without(
            search.is_flat(images)
        )
        for images in (generated, held_out)
    )
    return Copies(
        in_pixels=_rate(by_pixels, pixel_floor),
        in_features=_rate(by_features, feature_floor),
        closest=_closest_pairs(by_pixels),
        is_copy=by_pixels.is_copy,
    )


def _sample(images: ImageSet) -> ImageSet:
    """Return some of the images, in a random order that depends on their number alone."""
    order = randomness.permutation(0, "copies", step=0, count=len(images))
    return images.select(order[:MOST_HELD_OUT].sort().values)


def _mirrored_features(
    images: ImageSet, extractor: Featurizer, progress: ProgressCallback
) -> Tensor:
    """Return the features of each image and of its mirror image, [N, 2, D]."""
    mirrored = replace(images, name=f"{images.name}, mirrored", pixels=_mirror(images.pixels))
    both = [extractor.features(one, progress) for one in (images, mirrored)]
    return torch.stack(both, dim=1)


def _mirror(pixels: Tensor) -> Tensor:
    if pixels.dtype == torch.uint16:  # which cannot be flipped everywhere
        return pixels.view(torch.int16).flip(3).view(torch.uint16)
    return pixels.flip(3)


def _rate(near: NearestImages, floor: NearestImages) -> Number:
    """Return the share of copies with its 95 % interval, beside that of held-out images."""
    count = len(near.ratio)
    if not count:
        return Number(0.0, count=0)
    share = float(near.is_copy.double().mean())
    expected = float(floor.is_copy.double().mean()) if len(floor.ratio) else None
    interval = wilson_interval(share, count)
    return Number(share, floor=expected, low=interval.low, high=interval.high, count=count)


def _closest_pairs(near: NearestImages) -> tuple[ClosePair, ...]:
    """Return the closest pairs: of different training images, as far as there are so many."""
    order = near.ratio.argsort(stable=True)
    seen: set[int] = set()
    first: list[int] = []
    repeated: list[int] = []
    for index in order.tolist():
        training = int(near.nearest[index])
        (repeated if training in seen else first).append(index)
        seen.add(training)
    return tuple(
        ClosePair(
            generated=index,
            training=int(near.nearest[index]),
            ratio=float(near.ratio[index]),
            is_copy=bool(near.is_copy[index]),
        )
        for index in (first + repeated)[:SHOWN_PAIRS]
    )
