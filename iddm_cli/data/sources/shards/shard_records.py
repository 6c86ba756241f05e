"""What is known of the images of one shard after it was listed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from iddm_cli.data.sources.indexing.listing import SkippedFile

NO_CLASS = -1


@dataclass(frozen=True)
class ShardLabels:
    """The class of each image of a shard, from one origin.

    Attributes:
        numbers: Class of each image, as an index into `names`; NO_CLASS for none: int32 [N].
        names: Names of classes.
    """

    numbers: ndarray
    names: Sequence[str]

    @classmethod
    def encode(cls, names: Sequence[str]) -> "ShardLabels":
        """Return the labels of images, given the class name of each; "" for none."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names)) if name}
        known = {name: number for number, name in enumerate(numbers)}
        column = np.array([known.get(name, NO_CLASS) for name in names], np.int32)
        return cls(column, tuple(known))


@dataclass(frozen=True)
class ShardRecords:
    """The images of one shard, in the order in which they are stored.

    Attributes:
        offsets: Where each begins: a byte of a tar, a row of a Parquet file, int64 [N].
        lengths: Its bytes; 0 where they are unknown, int64 [N].
        labels: Its class, from labels in the shard.
        folders: Its class, from the folder of its name.
        names: Its name; None: it is known by its offset.
        order: All classes, in the order of their labels, where the shard says; None: it does not.
        skipped: Entries that are not used, with reasons.
        notes: How the shard was understood, as sentences for the user.
    """

    offsets: ndarray
    lengths: ndarray
    labels: ShardLabels
    folders: ShardLabels
    names: Sequence[str] | None = None
    order: tuple[str, ...] | None = None
    skipped: list[SkippedFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
