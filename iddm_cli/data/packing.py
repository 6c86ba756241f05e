"""Packing: every picture decoded once, into one array in the cache that training maps to memory.

The pack is used again for as long as the dataset's files and the settings that its pixels depend
on stay the same.
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iddm_cli import durable
from iddm_cli.data import packstore
from iddm_cli.data.cache import cache_folder
from iddm_cli.data.images import UnreadableImage, fit
from iddm_cli.data.index import Skip
from iddm_cli.data.packstore import Record
from iddm_cli.data.parallel import in_order
from iddm_cli.data.sources import Source
from iddm_cli.errors import DatasetError
from iddm_cli.settings import DataSettings

FORMAT = 1
CHUNK_BYTES = 4 * 2**20

Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Report no progress: the default of what calls back with pictures done, and of how many."""


@dataclass(frozen=True)
class Pack:
    """A dataset as one array, and what is known of its pictures."""

    folder: Path
    count: int
    height: int
    width: int
    channels: int
    labels: list[int]
    classes: tuple[str, ...]
    names: list[str]
    skipped: list[Skip]
    digest: str

    @property
    def images_path(self) -> Path:
        """The raw pixels: uint8 [count, channels, height, width], C-contiguous."""
        return self.folder / packstore.PIXELS


def pack(source: Source, settings: DataSettings, *, progress: Progress = quiet) -> Pack:
    """Pack a dataset, or find the pack that was made of it before.

    Raises:
        DatasetError: Classes are wanted and there are none; a picture cannot be decoded and that
            is to be fatal; none can; or the cache cannot be written.
    """
    conditional = _is_conditional(source, settings)
    folder = cache_folder() / "packs" / _key(source, settings)
    record = packstore.read(folder)
    if record is None or _can_be_read_now(source, record.skipped):
        size = len(source) * _picture_bytes(settings)
        record = packstore.build(
            folder, size, lambda place: _write(source, settings, place, progress)
        )
    if record.skipped and settings.on_error == "fail":
        raise _unreadable(*record.skipped[0])
    return _as_pack(folder, record, conditional)


def _is_conditional(source: Source, settings: DataSettings) -> bool:
    if settings.conditional is True and not source.classes:
        raise DatasetError(
            f"{source.name} has no classes, but data.conditional is true.",
            "Put the pictures of each class into a folder of its own, or set data.conditional "
            "to false.",
        )
    return bool(source.classes) and settings.conditional is not False


def _key(source: Source, settings: DataSettings) -> str:
    """Digest all that the pixels depend on."""
    look = (settings.size, settings.channels, settings.aspect, settings.background)
    return hashlib.sha256(json.dumps([FORMAT, source.fingerprint(), look]).encode()).hexdigest()


def _picture_bytes(settings: DataSettings) -> int:
    height, width = settings.size
    return height * width * settings.channels


def _can_be_read_now(source: Source, skipped: list[Skip]) -> bool:
    """Look whether a picture left out of a pack opens by now, as permissions may have changed."""
    names = {name for name, _ in skipped}
    left_out = (i for i in range(len(source)) if names and source.item_name(i) in names)
    return any(_opens(source, i) for i in left_out)


def _opens(source: Source, i: int) -> bool:
    try:
        source.image(i)
    except UnreadableImage:
        return False
    return True


def _as_pack(folder: Path, record: Record, conditional: bool) -> Pack:
    """Drop the classes where none are learnt, and digest what is left."""
    classes = record.classes if conditional else ()
    labels = record.labels if conditional else [0] * record.count
    content = json.dumps([record.pixels, labels, classes])
    return Pack(
        folder=folder,
        count=record.count,
        height=record.height,
        width=record.width,
        channels=record.channels,
        labels=labels,
        classes=classes,
        names=record.names,
        skipped=record.skipped,
        digest=hashlib.sha256(content.encode()).hexdigest(),
    )


def _write(source: Source, settings: DataSettings, folder: Path, progress: Progress) -> Record:
    """Decode all pictures into images.u8, in order."""
    kept: list[int] = []
    skipped: list[Skip] = []
    digest = hashlib.sha256()
    results = _decoded(source, settings, progress)
    with closing(results), (folder / packstore.PIXELS).open("wb") as handle:
        for i, planes in results:
            if isinstance(planes, bytes):
                kept.append(i)
                digest.update(planes)
                handle.write(planes)
            elif settings.on_error == "fail":
                raise _unreadable(source.item_name(i), planes)
            else:
                skipped.append((source.item_name(i), planes))
        durable.fsync_file(handle)
    if not kept:
        raise _none_readable(source, skipped)
    return _record(source, settings, kept, skipped, digest.hexdigest())


def _record(
    source: Source, settings: DataSettings, kept: list[int], skipped: list[Skip], pixels: str
) -> Record:
    height, width = settings.size
    return Record(
        count=len(kept),
        height=height,
        width=width,
        channels=settings.channels,
        classes=source.classes,
        labels=[source.labels[i] for i in kept],
        names=[source.item_name(i) for i in kept],
        skipped=skipped,
        pixels=pixels,
    )


def _decoded(
    source: Source, settings: DataSettings, progress: Progress
) -> Generator[tuple[int, bytes | str], None, None]:
    """Yield the number of each picture with its planes, or with the reason why it has none."""
    chunk = max(1, min(64, CHUNK_BYTES // _picture_bytes(settings)))
    workers = settings.workers or os.cpu_count() or 1
    done = 0
    chunks = in_order(
        lambda i: _planes(source, settings, i), len(source), workers=workers, chunk=chunk
    )
    with closing(chunks):
        for results in chunks:
            yield from enumerate(results, start=done)
            done += len(results)
            progress(done, len(source))


def _planes(source: Source, settings: DataSettings, i: int) -> bytes | str:
    """Decode one picture to the bytes of [C, H, W]; a reason, not an error, as it crosses threads.

    An error would keep its traceback, and with it the half-decoded picture, in memory.
    """
    try:
        pixels = fit(
            source.image(i),
            size=settings.size,
            channels=settings.channels,
            aspect=settings.aspect,
            background=settings.background,
        )
    except UnreadableImage as error:
        return str(error)
    return np.moveaxis(pixels, -1, 0).tobytes()


def _unreadable(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"{name} cannot be decoded: {reason}.",
        "Repair or remove the file, or set data.on_error to skip.",
    )


def _none_readable(source: Source, skipped: list[Skip]) -> DatasetError:
    if not skipped:
        return DatasetError(f"{source.name} holds no picture.", "Check data.path.")
    name, reason = skipped[0]
    return DatasetError(
        f"None of the {len(skipped)} pictures of {source.name} can be decoded; {name}: {reason}.",
        "Check that these files are pictures: iddm inspect-dataset lists each one's fault.",
    )
