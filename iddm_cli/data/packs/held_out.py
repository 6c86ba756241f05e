"""Which images are held out of training: chosen by their content alone.

An image has a score, the first 64 bits of the digest of its file. Those with a score below the
share are held out, and the few lowest of each class. The choice depends on the set of the images,
and neither on their order and names, nor on the container or on how they are resized.

An image that was trained on stays a training image when others are added: its score is the same,
and its rank in its class can only rise. Two exceptions cannot be avoided by any rule that holds out
none of a few images, and some of many: a class holds out one more for every MIN_CLASS images up to
FEW of them, and no class loses more than half of its images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from iddm_cli.data.packs.store import ImageDigests

FEW = 4
"""The lowest of a class that are held out whatever their scores."""

MIN_CLASS = 10
"""A class of fewer images gives none; of more, at most a tenth belong to the few."""


SHARE, OFF = "share", "off"
"""Where held-out images come from, other than a part of the dataset such as val."""

NO_CLASSES = "its images have no classes"
OTHER_CLASSES = "its classes are other ones"
NO_IMAGES = "none of its images can be decoded"
"""Why the dataset's own part is replaced by a share."""


@dataclass(frozen=True)
class HeldOutFacts:
    """Where the held-out images come from, and what to know of them.

    Attributes:
        origin: SHARE: they are a share of all images, data.held_out. Else the name of the dataset's
            own part, such as val; or OFF.
        unknown: Images of that part that are left out, because their class is not trained.
        repeated: Images of that part whose pixels are those of a training image.
        notes: What else to know, as sentences for the user.
    """

    origin: str = OFF
    unknown: int = 0
    repeated: int = 0
    notes: tuple[str, ...] = ()


NOTHING_HELD_OUT = HeldOutFacts()


@dataclass(frozen=True)
class HeldOutReport:
    """The held-out images, counted.

    Attributes:
        facts: Where they come from.
        training: Number of training images.
        count: Number of held-out images.
        classes: Number of held-out images of each class.
        unreadable: Images of the dataset's own part that cannot be decoded.
        digest: Digest of the held-out images; "" if there are none.
    """

    facts: HeldOutFacts
    training: int
    count: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    digest: str = ""

    def to_json(self) -> dict[str, object]:
        """Return what dataset.json and --json say of them."""
        return {
            "count": self.count,
            "from": self.facts.origin,
            "classes": self.classes,
            "unknown_classes": self.facts.unknown,
            "equal_to_training": self.facts.repeated,
            "unreadable": self.unreadable,
            "notes": list(self.facts.notes),
            **({"digest": self.digest} if self.digest else {}),
        }


NO_REPORT = HeldOutReport(NOTHING_HELD_OUT, training=0)
"""The report on an empty dataset."""


def choose_held_out(digests: ImageDigests, labels: ndarray, share: float) -> ndarray:
    """Return which images are held out, bool [N].

    Images of equal pixels, and so equal files, are on one side: where their files or their classes
    differ, all of them are trained on unless each would be held out.

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
    pixels = _first_bits(digests.pixels)
    return held_out & ~np.isin(pixels, pixels[~held_out])


def find_equal(digests: ndarray, others: ndarray) -> ndarray:
    """Return which digests, uint8 [N, 16], occur among others, uint8 [M, 16]: bool [N]."""
    return np.isin(_first_bits(digests), _first_bits(others))


def list_small_classes(counts: Sequence[int]) -> list[int]:
    """Return the labels of the classes that have images, but too few to hold any out."""
    return [label for label, count in enumerate(counts) if 0 < count < MIN_CLASS]


def describe_small_classes(counts: Sequence[int], total: int) -> tuple[str, ...]:
    """Return the note on the classes that give no held-out image.

    Args:
        counts: Number of images of each class; empty without classes.
        total: Number of all images.
    """
    small = list_small_classes(counts or [total])
    if not small:
        return ()
    several = f"{len(small):,} of {len(counts):,} classes have fewer than {MIN_CLASS} images and"
    which = several if len(counts) > 1 else f"fewer than {MIN_CLASS} images"
    return (f"{which} give none",)


def match_labels(labels: ndarray, classes: Sequence[str], trained: Sequence[str]) -> ndarray:
    """Return the labels of a part's images among the classes trained: -1 for others, int64 [N].

    Args:
        labels: Class of each image, int64 [N].
        classes: Names of the part's classes.
        trained: Names of the classes trained; empty without classes, then every label is 0.
    """
    if not trained:
        return np.zeros_like(labels)
    numbers = {name: label for label, name in enumerate(trained)}
    return np.array([numbers.get(name, -1) for name in classes], np.int64)[labels]


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
