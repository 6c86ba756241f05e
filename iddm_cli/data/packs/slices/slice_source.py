"""Slices of a dataset: consecutive images, a source of their own."""

import hashlib
from collections.abc import Sequence

from iddm_cli.data.decoding.images import ImageHandle
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.data.sources.source import HeldOutPart, Source

SLICE_BYTES = 2 * 2**30
"""Pixels of a slice, at 8 bits: a pack of more is built of several, each a file of its own."""


class SliceSource:
    """The images from `start` to before `stop` of a dataset.

    Args:
        source: The dataset.
        fingerprint: Its fingerprint.
        start: The first image.
        stop: The image after the last one.
    """

    held_out: HeldOutPart | None = None

    def __init__(self, source: Source, fingerprint: str, start: int, stop: int) -> None:
        self.name = source.name
        self.location = source.location
        self.classes = source.classes
        self.labels: Sequence[int] = source.labels[start:stop]
        self.skipped: list[SkippedFile] = []
        self.notes: list[str] = []
        self.start = start
        self._source = source
        self._fingerprint = hashlib.sha256(f"{fingerprint} {start} {stop}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def item_name(self, i: int) -> str:
        """Return the name of image `i` of the slice."""
        return self._source.item_name(self.start + i)

    def image(self, i: int) -> ImageHandle:
        """Return a handle of image `i` of the slice."""
        return self._source.image(self.start + i)

    def stored_bytes(self) -> int:
        """Return 0: the bytes of a slice alone are unknown."""
        return 0

    def shift_progress(self, progress: ProgressCallback) -> ProgressCallback:
        """Return what reports the progress of this slice as that of the whole dataset."""

        def report(stage: str, done: int, total: int) -> None:
            if total == len(self):
                done, total = self.start + done, len(self._source)
            progress(stage, done, total)

        return report

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:  # noqa: ARG002
        """Return a digest of the dataset's fingerprint and the slice's place."""
        return self._fingerprint


def cut_slices(source: Source, fingerprint: str, image_bytes: int) -> list[SliceSource]:
    """Return the slices of a dataset; one alone where its pixels fit into one file.

    Args:
        source: The dataset.
        fingerprint: Its fingerprint.
        image_bytes: Bytes of the pixels of an image, at 8 bits and the most channels it may have.
    """
    each = max(1, SLICE_BYTES // image_bytes)
    starts = range(0, len(source), each)
    return [
        SliceSource(source, fingerprint, start, min(start + each, len(source))) for start in starts
    ]
