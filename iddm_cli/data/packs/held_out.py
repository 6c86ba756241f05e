"""Which images are held out of training: chosen by their content alone.

An image has a score, the first 64 bits of the digest of its file. Those with a score below the
share are held out, and the few lowest of each class. The choice depends on the set of the images,
and neither on their order and names, nor on the container or on how they are resized.

An image that was trained on stays a training image when others are added: its score is the same,
and its rank in its class can only rise. Two exceptions cannot be avoided by any rule that holds out
none of a few images, and some of many: a class holds out one more for every MIN_CLASS images up to
FEW of them, and no class loses more than half of its images.
"""

import numpy as np
from numpy import ndarray

from iddm_cli.data.packs.store import ImageDigests

FEW = 4
"""The lowest of a class that are held out whatever their scores."""

MIN_CLASS = 10
"""A class of fewer images gives none; of more, at most a tenth belong to the few."""


def choose_held_out(digests: ImageDigests, labels: ndarray, share: float) -> ndarray:
    """Return which images are held out, bool [N].

    Equal files are on one side, and so are images of equal pixels: where these differ as files, all
    are trained on.

    Args:
        digests: The digests of the images.
        labels: Class of each image, int64 [N]; all 0 without classes.
        share: Of all images, from 0 to 0.5; 0 holds out none.
    """
    held_out = np.zeros(len(labels), np.bool_)
    if share == 0:
        return held_out
    scores = _first_bits(digests.content)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        held_out[rows] = _choose_of_class(scores[rows], share)
    for keys in (scores, _first_bits(digests.pixels)):
        held_out &= ~np.isin(keys, keys[~held_out])
    return held_out


def find_equal(digests: ndarray, others: ndarray) -> ndarray:
    """Return which digests, uint8 [N, 16], occur among others, uint8 [M, 16]: bool [N]."""
    return np.isin(_first_bits(digests), _first_bits(others))


def list_small_classes(counts: list[int]) -> list[int]:
    """Return the labels of the classes that have images, but too few to hold any out."""
    return [label for label, count in enumerate(counts) if 0 < count < MIN_CLASS]


def _choose_of_class(scores: ndarray, share: float) -> ndarray:
    """Return which images of one class are held out, bool [N]."""
    count = len(scores)
    if count < MIN_CLASS:
        return np.zeros(count, np.bool_)
    distinct, sizes = np.unique(scores, return_counts=True)
    below = int(np.searchsorted(distinct, np.uint64(share * 2**64)))
    chosen = max(below, min(FEW, count // MIN_CLASS))
    chosen = min(chosen, int(np.searchsorted(sizes.cumsum(), count // 2, side="right")))
    return np.isin(scores, distinct[:chosen])


def _first_bits(digests: ndarray) -> ndarray:
    """Return the first 64 bits of each digest, which tell images apart as well: uint64 [N]."""
    return np.ascontiguousarray(digests[:, :8]).view(">u8").ravel().astype(np.uint64)
