"""Nearest images: which training image is nearest, and how far ahead of all others it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COPY_RATIO = 1 / 3
"""Yoon et al. 2023, "Diffusion probabilistic models generalize when they fail to memorize"; the
factor as in arXiv:2505.17638."""

CANDIDATES = 64
"""Training images that a search compares exactly: those that a cheap comparison finds nearest."""

LARGEST_BATCH = 32
"""Images that are searched for at once, at most."""

PAIRS_IN_MEMORY = 2**24
"""Pairs of images that the cheap comparison has in memory at once, at most (64 MiB)."""

RESOLUTION = 1e-3
"""Differences of distances below this are rounding."""


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

    @staticmethod
    def join(parts: Sequence["NearestImages"]) -> "NearestImages":
        """Return the nearest training images of all parts, in order."""
        nothing = NearestImages(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        every = [nothing, *parts]
        return NearestImages(
            torch.cat([part.nearest for part in every]), torch.cat([part.ratio for part in every])
        )

    def without(self, left_out: Tensor) -> "NearestImages":
        """Return the same, with images that cannot be copies, bool [N], at a ratio of 1."""
        return NearestImages(self.nearest, self.ratio.masked_fill(left_out, 1.0))


def pick_nearest(
    candidates: Tensor, distances: Tensor, between: Tensor, *, alone: float
) -> NearestImages:
    """Return the nearest candidate of each image, and the ratio to the second-nearest.

    Training images that show the same as the nearest one do not count as second-nearest.

    Args:
        candidates: Indices of training images, int64 [N, K].
        distances: Distances of each image to its candidates, [N, K].
        between: Distances of the nearest candidate to all of them, [N, K].
        alone: Distance that takes the place of the second-nearest image where there is none.
    """
    first, position = distances.min(dim=1)
    is_same = find_duplicates(between, position)
    second = distances.masked_fill(is_same, torch.inf).min(dim=1).values
    second = second.masked_fill(second.isinf(), alone)
    ratio = (first + RESOLUTION) / (second + RESOLUTION)
    nearest = candidates.gather(1, position[:, None])[:, 0]
    return NearestImages(nearest, ratio.clamp(max=1))


def find_duplicates(between: Tensor, position: Tensor) -> Tensor:
    """Return which candidates show the same as the one at `position`, itself included, bool [N, K].

    The rule is that of copies: these are less than a third as far away as the next one.

    Args:
        between: Distances of that candidate to all of them, [N, K].
        position: Its position among them, int64 [N].
    """
    others = between.scatter(1, position[:, None], 0.0)
    order = others.sort(dim=1).values[:, 1:] + RESOLUTION
    gaps = order[:, :-1] < COPY_RATIO * order[:, 1:]
    last_same = gaps * order[:, :-1]  # zero where there is no gap
    limit = last_same.amax(dim=1, keepdim=True) if gaps.shape[1] else torch.zeros(len(order), 1)
    return (others + RESOLUTION <= limit).scatter(1, position[:, None], value=True)
