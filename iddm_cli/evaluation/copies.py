"""Copies: generated images that are training images, also mirrored, shifted or brightened.

A generated image counts as a copy if its nearest training image is less than a third as far away as
the second-nearest (Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to
memorize"; the factor as in arXiv:2505.17638). Real held-out images, measured alike, show how often
that happens without any copying.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.results import ClosePair, Copies

COPY_RATIO = 1 / 3
COMPARED_SIDE = 32
"""Images are compared at this many pixels on the longer side at most."""

MAX_SHIFT = 2
"""Pixels, at the size compared, by which a copy may be shifted."""

SAME_CORRELATION = 0.995
"""Training images that correlate more than this with the nearest one count as the same image."""

NEIGHBOURS = 8
CONTRAST_FLOOR = 1e-3
SHOWN_PAIRS = 24


class Featurizer(Protocol):
    """What turns images into feature vectors."""

    def features(self, images: ImageSet, progress: ProgressCallback = no_progress) -> Tensor:
        """Return the feature vectors, float32 [N, D]."""
        ...


@dataclass(frozen=True)
class NearestImages:
    """The nearest training images of some images.

    Attributes:
        nearest: Index of the nearest training image, int64 [N].
        ratio: Its distance over that of the second-nearest, in [0, 1], float [N].
    """

    nearest: Tensor
    ratio: Tensor

    @property
    def is_copy(self) -> Tensor:
        """Whether each image is a copy, bool [N]."""
        return self.ratio < COPY_RATIO

    @property
    def rate(self) -> float:
        """Share of copies, in [0, 1]."""
        return float(self.is_copy.double().mean()) if len(self.ratio) else 0.0


def find_copies(
    generated: ImageSet,
    training: ImageSet,
    held_out: ImageSet,
    extractor: Featurizer,
    *,
    progress: ProgressCallback = no_progress,
) -> Copies:
    """Return how many generated images are copies of training images, and the closest pairs.

    Args:
        generated: The generated images.
        training: The images that the model was trained on.
        held_out: Real images that it was not trained on.
        extractor: The feature network.
        progress: Called after every comparison.
    """
    by_pixels, floor = (
        find_nearest(images.images(), training.images(), progress=progress)
        for images in (generated, held_out)
    )
    features = extractor.features(training, progress)
    by_features, feature_floor = (
        find_nearest_features(extractor.features(images, progress), features)
        for images in (generated, held_out)
    )
    return Copies(
        in_pixels=Number(by_pixels.rate, floor=floor.rate, count=len(generated)),
        in_features=Number(by_features.rate, floor=feature_floor.rate, count=len(generated)),
        closest=_closest_pairs(by_pixels),
        is_copy=by_pixels.is_copy,
    )


def _closest_pairs(near: NearestImages) -> tuple[ClosePair, ...]:
    order = near.ratio.argsort(stable=True)[:SHOWN_PAIRS].tolist()
    return tuple(
        ClosePair(
            generated=index,
            training=int(near.nearest[index]),
            ratio=float(near.ratio[index]),
            is_copy=bool(near.is_copy[index]),
        )
        for index in order
    )


def find_nearest_features(features: Tensor, training: Tensor) -> NearestImages:
    """Find the nearest training image of each image by their features, [N, D] and [M, D]."""
    near = torch.cdist(features, training).topk(2, largest=False)
    ratio = near.values[:, 0] / near.values[:, 1].clamp(min=1e-12)
    return NearestImages(near.indices[:, 0], ratio)


def find_nearest(
    images: Tensor, training: Tensor, *, progress: ProgressCallback = no_progress
) -> NearestImages:
    """Find the nearest training image of each image, whatever its mirroring, shift or brightness.

    Args:
        images: Float [N, C, H, W].
        training: Float [M, C, H, W], M > 1.
        progress: Called after every comparison.
    """
    queries = _mirrored_crops(_reduce(images))
    windows = _shifted_windows(_reduce(training))
    distances = torch.full((len(images), len(training)), torch.inf)
    for done, window in enumerate(windows, start=1):
        for query in queries:
            torch.minimum(distances, _distances(query, window), out=distances)
        progress("comparing with the training images", done, len(windows))
    return _rank(distances, windows[len(windows) // 2])


def _rank(distances: Tensor, training: Tensor) -> NearestImages:
    """Return the nearest, and the ratio to the nearest that is not the same image once more."""
    count = min(NEIGHBOURS, distances.shape[1])
    near = distances.topk(count, largest=False)
    nearest = near.indices[:, 0]
    correlations = torch.einsum("nd,nkd->nk", training[nearest], training[near.indices])
    others = near.values.masked_fill(correlations > SAME_CORRELATION, torch.inf)
    second = others.min(dim=1).values
    # Where all neighbours are the same image, any farther one would do.
    second = torch.where(second.isinf(), near.values[:, -1], second).clamp(min=1e-12)
    return NearestImages(nearest, near.values[:, 0] / second)


def _reduce(images: Tensor) -> Tensor:
    """Reduce to COMPARED_SIDE, then average 3 x 3 pixels: a copy may be noisier, or smoother."""
    height, width = images.shape[2:]
    scale = min(1.0, COMPARED_SIDE / max(height, width))
    size = [max(2 * MAX_SHIFT + 3, round(side * scale)) for side in (height, width)]
    reduced = functional.interpolate(images.float(), size=size, mode="area")
    return functional.avg_pool2d(reduced, 3, stride=1)


def _mirrored_crops(images: Tensor) -> list[Tensor]:
    """Return the middle of each image, and of its mirror image, normalized, [N, D] each."""
    middle = _window(images, MAX_SHIFT, MAX_SHIFT)
    return [_normalize(middle), _normalize(middle.flip(3))]


def _shifted_windows(images: Tensor) -> list[Tensor]:
    """Return the windows of each image at all shifts, normalized, [N, D] each."""
    offsets = range(2 * MAX_SHIFT + 1)
    return [_normalize(_window(images, top, left)) for top in offsets for left in offsets]


def _window(images: Tensor, top: int, left: int) -> Tensor:
    height, width = (side - 2 * MAX_SHIFT for side in images.shape[2:])
    return images[:, :, top : top + height, left : left + width]


def _normalize(images: Tensor) -> Tensor:
    """Remove brightness and contrast: mean 0 and norm 1, [N, D]."""
    flat = images.flatten(1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp(min=CONTRAST_FLOOR)


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the distances of normalized vectors, [N, M]."""
    return (2 - 2 * x @ y.T).clamp(min=0).sqrt()
