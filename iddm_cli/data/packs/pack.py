"""The pack: a dataset as one array, and what is known of its pictures."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, PrepareResult
from iddm_cli.data.decoding.resize_stats import ResizeStats, min_median_max
from iddm_cli.data.packs import store
from iddm_cli.data.packs.store import PackRecord, SourceStats
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError


@dataclass(frozen=True)
class Pack:
    """A dataset as one array, and what is known of its pictures."""

    folder: Path
    look: PixelSpec
    record: PackRecord
    labels: ndarray  # int64 [count]; all 0 where no classes are learnt
    classes: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    skipped_entries: tuple[SkippedFile, ...]  # entries of the dataset that are no pictures

    @property
    def count(self) -> int:
        """Pictures that can be learnt from."""
        return self.record.count

    @property
    def channels(self) -> Literal[1, 3]:
        """1 for grey, 3 for colour."""
        return self.record.channels

    @property
    def height(self) -> int:
        """Rows of each stored picture; a random crop may show fewer."""
        return self.record.height

    @property
    def width(self) -> int:
        """Columns of each stored picture."""
        return self.record.width

    @property
    def unreadable(self) -> list[SkippedFile]:
        """Pictures that cannot be decoded, and why."""
        return self.record.skipped

    @property
    def names(self) -> list[str]:
        """Name of each picture; read anew each time."""
        return store.read_names(self.folder)

    def class_counts(self) -> list[int]:
        """Return how many pictures there are of each class."""
        counts: list[int] = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return counts[: len(self.classes)]

    @property
    def pixels_bytes(self) -> int:
        """Bytes of all pixels together."""
        return self.count * self.look.image_bytes

    @property
    def images_path(self) -> Path:
        """The raw pixels: uint8 [count, channels, height, width], C-contiguous."""
        return self.folder / store.PIXELS


def build_record(
    source: Source, look: PixelSpec, outcomes: list[PrepareResult], *, stored: bool
) -> PackRecord:
    """Return what is known of a source's pictures, now that all have been looked at.

    Raises:
        DatasetError: None can be decoded.
    """
    kept = [outcome for outcome in outcomes if isinstance(outcome, PreparedImage)]
    left_out = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    skipped = [(source.item_name(i), str(outcomes[i])) for i in left_out]
    if not kept:
        raise _none_readable(source, skipped)
    there = {source.labels[i] for i, o in enumerate(outcomes) if isinstance(o, PreparedImage)}
    whole = hashlib.sha256("".join(picture.digest for picture in kept).encode())
    return PackRecord(
        source=source.name,
        place=source.location,
        count=len(kept),
        height=look.size[0],
        width=look.size[1],
        channels=look.channels,
        stored=stored,
        classes=tuple(name for label, name in enumerate(source.classes) if label in there),
        skipped=skipped,
        left_out=left_out,
        grey=all(picture.grey for picture in kept),
        looks=_source_stats(kept, look),
        pixels=whole.hexdigest(),
    )


def _source_stats(kept: list[PreparedImage], look: PixelSpec) -> SourceStats:
    widths = np.array([picture.width for picture in kept])
    heights = np.array([picture.height for picture in kept])
    shapes = ResizeStats(widths, heights, look.size, look.aspect)
    return SourceStats(
        width=min_median_max(widths),
        height=min_median_max(heights),
        shown=float(shapes.kept.mean()),
        enlarged=int((shapes.scale > 1).sum()),
        animated=sum(picture.animated for picture in kept),
    )


def _none_readable(source: Source, skipped: list[SkippedFile]) -> DatasetError:
    if not skipped:
        return DatasetError(f"{source.name} holds no picture.", "Check data.path.")
    name, reason = skipped[0]
    return DatasetError(
        f"None of the {len(skipped)} pictures of {source.name} can be decoded; {name}: {reason}.",
        "Check that these files are pictures: iddm inspect-dataset lists each one's fault.",
    )
