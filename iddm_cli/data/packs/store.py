"""The packs in the cache: each a folder that appears whole, or not at all.

images.u8     uint8 [N, C, H, W], C-contiguous, no header; absent where pictures are streamed
labels.i32    class of each picture, little-endian int32 [N]
names.txt     name of each picture, one JSON string a line
pack.json     what is known of them all: a Record

A pack in the making is a folder whose name begins with .partial-; it holds images.u8 so far, and
journal.jsonl, by which a pack that was cut off goes on where it stopped.
"""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy import ndarray

from iddm_cli import durable
from iddm_cli.data.decoding.preprocess import PreparedImage, PrepareResult, digest_pixels
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.profiles.settings import Settings

PIXELS = "images.u8"
LABELS = "labels.i32"
NAMES = "names.txt"
RECORD = "pack.json"
JOURNAL = "journal.jsonl"
KEPT_SECONDS = 14 * 86_400
"""How long a pack that was cut off waits to be taken up again."""


class SourceStats(Settings):
    """What the originals were like."""

    width: tuple[int, int, int]
    """Pixels: least, median, most."""
    height: tuple[int, int, int]
    shown: float
    """Share of the originals' area that is learnt from, on average; the rest is cropped away."""
    enlarged: int
    """Pictures smaller than what they were brought to."""
    animated: int
    """Pictures of several frames or pages, of which the first is learnt."""


class PackRecord(Settings):
    """What pack.json holds."""

    source: str
    place: str
    count: int
    height: int
    width: int
    channels: Literal[1, 3]
    stored: bool
    """Whether the pixels are there."""
    classes: tuple[str, ...]
    """Those with at least one picture, whether or not they are learnt."""
    skipped: list[SkippedFile]
    left_out: list[int]
    """Their numbers in the source."""
    grey: bool
    """Whether every picture is grey, however it was stored."""
    looks: SourceStats
    pixels: str
    """SHA-256 of the digests of all pictures."""


def read_record(folder: Path) -> PackRecord | None:
    """Return what a whole pack holds; None where there is none, or it is damaged."""
    try:
        record = PackRecord.model_validate_json((folder / RECORD).read_bytes())
        sizes = [(folder / name).stat().st_size for name in (LABELS, NAMES)]
        pixels = (folder / PIXELS).stat().st_size if record.stored else 0
        labels = read_labels(folder)
    except (OSError, ValueError):
        return None
    expected = record.count * record.channels * record.height * record.width * record.stored
    known = bool(((labels >= 0) & (labels < max(1, len(record.classes)))).all())
    whole = sizes[0] == 4 * record.count and sizes[1] > 0 and pixels == expected
    return record if known and whole and record.count > 0 else None


def read_labels(folder: Path) -> ndarray:
    """Return the class of each picture, int64 [N]."""
    return np.fromfile(folder / LABELS, dtype="<i4").astype(np.int64)


def read_names(folder: Path) -> list[str]:
    """Return the name of each picture."""
    return [json.loads(line) for line in (folder / NAMES).read_text().splitlines()]


class PackWriter:
    """A pack in the making, which survives the death of the process that makes it.

    Only one process may have it open: hold the lock of the pack.
    """

    def __init__(self, folder: Path, image_bytes: int) -> None:
        self.folder = folder
        self.image_bytes = image_bytes
        self.outcomes: list[PrepareResult] = []
        self._pixels: IO[bytes] | None = None
        self._journal = durable.LineFile(folder / JOURNAL)

    def open(self) -> None:
        """Take up what an earlier process left, as far as its pixels are what was noted of them.

        Raises:
            OSError: The cache cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        pixels = self.folder / PIXELS
        pixels.touch()
        kept: list[str] = []
        with pixels.open("r+b") as handle:
            for line, outcomes in self._noted():
                if not self._verified(handle, outcomes):
                    break
                kept.append(line)
                self.outcomes += outcomes
            handle.truncate(self.image_bytes * self._pictures())
        self._journal.rewrite(kept)
        self._pixels = pixels.open("ab")

    def _noted(self) -> Iterator[tuple[str, list[PrepareResult]]]:
        for line in self._journal.read_lines():
            try:
                yield line, [_from_json(entry) for entry in json.loads(line)]
            except (ValueError, TypeError):
                return

    def _verified(self, handle: IO[bytes], outcomes: list[PrepareResult]) -> bool:
        """Hold pixels on the disk against their digests; a power cut may have lost them."""
        if not self.image_bytes:
            return True
        found = (digest_pixels(handle.read(self.image_bytes)) for _ in self._those(outcomes))
        return all(a == b.digest for a, b in zip(found, self._those(outcomes), strict=True))

    @staticmethod
    def _those(outcomes: list[PrepareResult]) -> list[PreparedImage]:
        return [outcome for outcome in outcomes if isinstance(outcome, PreparedImage)]

    def _pictures(self) -> int:
        return len(self._those(self.outcomes))

    def append(self, outcomes: list[PrepareResult]) -> None:
        """Write down some pictures: first their pixels, then that they are there."""
        assert self._pixels is not None, "it is open"
        those = self._those(outcomes)
        if self.image_bytes:
            self._pixels.write(b"".join(picture.planes for picture in those))
            self._pixels.flush()
        self._journal.append(json.dumps([_to_json(outcome) for outcome in outcomes]))
        self.outcomes += [_without_planes(outcome) for outcome in outcomes]

    def publish(
        self, folder: Path, record: PackRecord, labels: list[int], names: list[str]
    ) -> None:
        """Give the pack its name; a damaged one there is replaced.

        Raises:
            OSError: The cache cannot be written.
        """
        assert self._pixels is not None, "it is open"
        durable.fsync_file(self._pixels)
        self._pixels.close()
        if not record.stored:
            (self.folder / PIXELS).unlink()
        durable.write_file(self.folder / LABELS, np.array(labels, dtype="<i4").tobytes())
        text = "".join(f"{json.dumps(name)}\n" for name in names)
        durable.write_file(self.folder / NAMES, text.encode())
        durable.write_file(self.folder / RECORD, record.model_dump_json().encode())
        (self.folder / JOURNAL).unlink()
        if folder.exists():
            shutil.rmtree(folder)
        durable.publish_folder(self.folder, folder)

    def close(self) -> None:
        """Stop; what was written stays for the next who opens it."""
        if self._pixels is not None:
            self._pixels.close()

    def discard(self) -> None:
        """Remove what was written."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_stale_partials(packs: Path) -> None:
    """Remove what was cut off long ago; a pack in the making is written to all the time."""
    for leftover in packs.glob(f"{durable.PARTIAL_PREFIX}*"):
        if time.time() - _touched(leftover) > KEPT_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _touched(leftover: Path) -> float:
    """Return when a folder was last written to; now, if it has just gone."""
    try:
        return max(path.stat().st_mtime for path in (leftover, *leftover.iterdir()))
    except OSError:
        return time.time()


def _without_planes(outcome: PrepareResult) -> PrepareResult:
    if isinstance(outcome, str):
        return outcome
    return PreparedImage(
        b"", outcome.digest, outcome.width, outcome.height, outcome.grey, outcome.animated
    )


def _to_json(outcome: PrepareResult) -> object:
    if isinstance(outcome, str):
        return outcome
    return [outcome.digest, outcome.width, outcome.height, outcome.grey, outcome.animated]


def _from_json(entry: object) -> PrepareResult:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, list) or [type(part) for part in entry] != [str, int, int, bool, bool]:
        raise ValueError("no line of a journal")
    return PreparedImage(b"", *entry)
