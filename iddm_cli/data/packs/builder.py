"""Packing: every picture decoded once, into one array in the cache that training reads from.

The pack is used again for as long as the content of the dataset's files, and the settings that
its pixels depend on, stay the same.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from iddm_cli import durable
from iddm_cli.data.cache import CACHE_HINT, cache_error, cache_folder, mark_used
from iddm_cli.data.decoding.preprocess import (
    Channels,
    PixelSpec,
    PreparedImage,
    PrepareResult,
    prepare_image,
)
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.data.packs import store
from iddm_cli.data.packs.pack import Pack, build_record
from iddm_cli.data.packs.store import PackRecord, PackWriter
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

FORMAT = 4
CHUNK_BYTES = 2 * 2**20
MOST_IN_CHUNK = 32
RESERVE = 1.02
"""Room asked for, as a multiple of the pixels: names, labels and the journal are small."""


def build_pack(
    source: Source, settings: DataSettings, *, progress: ProgressCallback = no_progress
) -> Pack:
    """Pack a dataset, or find the pack that was made of it before.

    Another process that packs the same is waited for, and its pack is used. Where
    data.cache is off, or auto and the disk has no room, pictures are only checked.

    Raises:
        DatasetError: Classes are wanted and there are none; a picture cannot be decoded and that
            is to be fatal; none can; or the cache cannot be written.
    """
    conditional = _is_conditional(source, settings)
    packer = _Packer(source, settings, progress)
    folder, look, record = packer.find_or_make()
    if record.skipped and settings.on_error == "fail":
        raise _unreadable(*record.skipped[0])
    classes = record.classes if conditional else ()
    labels = store.read_labels(folder) * bool(conditional)
    content = json.dumps([record.pixels, labels.tolist(), classes])
    return Pack(
        folder=folder,
        look=look,
        record=record,
        labels=labels,
        classes=classes,
        digest=hashlib.sha256(content.encode()).hexdigest(),
        notes=(*source.notes, *_unlearnable(source.classes, classes if conditional else None)),
        skipped_entries=tuple(source.skipped),
    )


def _unlearnable(found: tuple[str, ...], learnt: tuple[str, ...] | None) -> Iterator[str]:
    """Tell which classes have no picture that can be read."""
    lost = sorted(set(found) - set(learnt)) if learnt is not None else []
    if lost:
        yield f"no picture of {', '.join(lost[:3])} can be read, so it is no class"


def _is_conditional(source: Source, settings: DataSettings) -> bool:
    if settings.conditional is True and not source.classes:
        raise DatasetError(
            f"{source.name} has no classes, but data.conditional is true.",
            "Put the pictures of each class into a folder of its own, or set data.conditional "
            "to false.",
        )
    return bool(source.classes) and settings.conditional is not False


class _ColourFoundError(Exception):
    """The dataset is not grey throughout."""


class _Packer:
    """Finds the pack of a source, or makes it."""

    def __init__(self, source: Source, settings: DataSettings, progress: ProgressCallback) -> None:
        self.source = source
        self.settings = settings
        self.progress = progress
        self.packs = cache_folder() / "packs"
        self.fingerprint = source.fingerprint(progress)

    def find_or_make(self) -> tuple[Path, PixelSpec, PackRecord]:
        """Return where the pack is, and what it holds."""
        wanted = self.settings.channels
        if wanted != "auto":
            return self._one(wanted)
        made = [self._find(PixelSpec.from_settings(self.settings, channels)) for channels in (1, 3)]
        if not any(found and not found[1].grey for found in made):
            try:
                return self._one(1, grey_only=True)
            except _ColourFoundError:
                pass
        return self._one(3)

    def _place(self, look: PixelSpec, *, stored: bool) -> Path:
        """Name the folder by a digest of all that the pixels depend on.

        The time a picture may take is part of it: one that took too long may not, given more.
        """
        facts = [FORMAT, self.fingerprint, look.size, look.channels, look.aspect, look.background]
        facts += [self.settings.timeout, stored]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return self.packs / name

    def _find(self, look: PixelSpec) -> tuple[Path, PackRecord] | None:
        """Return a pack with these pixels; one without any only where they are not wanted."""
        for stored in (True, False) if self.settings.cache == "off" else (True,):
            place = self._place(look, stored=stored)
            record = store.read_record(place)
            if record:
                mark_used(place)
                return place, record
        return None

    def _one(
        self, channels: Channels, *, grey_only: bool = False
    ) -> tuple[Path, PixelSpec, PackRecord]:
        look = PixelSpec.from_settings(self.settings, channels)
        found = self._find(look)
        if found:
            return found[0], look, found[1]
        try:
            self.packs.mkdir(parents=True, exist_ok=True)
            store.remove_stale_partials(self.packs)
            stored = self._should_store(look)
            place = self._place(look, stored=stored)
            with self._locked(place):
                # Whoever held the lock before may have made it.
                record = store.read_record(place)
                record = record or self._make(place, look, stored=stored, grey_only=grey_only)
        except OSError as error:
            raise cache_error(error, self.packs) from error
        return place, look, record

    def _should_store(self, look: PixelSpec) -> bool:
        """Decide whether pixels are kept on the disk.

        Raises:
            DatasetError: They are wanted there, and there is no room.
        """
        if self.settings.cache == "off":
            return False
        needed = round(RESERVE * len(self.source) * look.image_bytes)
        begun = self._partial_folder(self._place(look, stored=True)) / store.PIXELS
        needed -= begun.stat().st_size if begun.exists() else 0
        free = shutil.disk_usage(self.packs).free
        if needed <= free:
            return True
        if self.settings.cache == "auto":
            return False
        raise DatasetError(
            f"Packing needs {needed / 1e9:.2f} GB in {self.packs}, where {free / 1e9:.2f} GB are "
            "free.",
            f"{CACHE_HINT} Or set data.cache to off, which decodes pictures anew in each epoch.",
        )

    @contextmanager
    def _locked(self, place: Path) -> Iterator[None]:
        """Hold the lock of a pack, waiting for the process that makes it just now."""
        lock = FileLock(place.with_name(f"{place.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self.progress("waiting for another process that reads the same images", 0, 1)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @staticmethod
    def _partial_folder(place: Path) -> Path:
        return place.with_name(f"{durable.PARTIAL_PREFIX}{place.name}")

    def _make(self, place: Path, look: PixelSpec, *, stored: bool, grey_only: bool) -> PackRecord:
        part = PackWriter(self._partial_folder(place), look.image_bytes if stored else 0)
        part.open()
        try:
            self._fill(part, look, grey_only=grey_only)
            kept = [
                i for i, outcome in enumerate(part.outcomes) if isinstance(outcome, PreparedImage)
            ]
            record = build_record(self.source, look, part.outcomes, stored=stored)
            number = {name: label for label, name in enumerate(record.classes)}
            names = self.source.classes or ("",)
            labels = [number.get(names[self.source.labels[i]], 0) for i in kept]
            part.publish(place, record, labels, [self.source.item_name(i) for i in kept])
        except (DatasetError, _ColourFoundError):
            part.discard()
            raise
        finally:
            part.close()
        return record

    def _fill(self, part: PackWriter, look: PixelSpec, *, grey_only: bool) -> None:
        """Decode what is not there yet, in order."""
        self._check(part.outcomes, 0, grey_only=grey_only)
        first, total = len(part.outcomes), len(self.source)
        if first >= total:
            return
        pictures = (self.source.image(i) for i in range(first, total))
        chunk = max(1, min(MOST_IN_CHUNK, CHUNK_BYTES // look.image_bytes))
        with WorkerPool(self.settings.workers, timeout=self.settings.timeout) as workers:
            results = workers.map_ordered(partial(prepare_image, look), pictures, chunk=chunk)
            with closing(results):
                for some in results:
                    outcomes = [r.reason if isinstance(r, WorkerFailure) else r for r in some]
                    self._check(outcomes, len(part.outcomes), grey_only=grey_only)
                    part.append(outcomes)
                    self.progress("reading images", len(part.outcomes), total)

    def _check(self, outcomes: list[PrepareResult], first: int, *, grey_only: bool) -> None:
        """Stop at what the settings do not allow."""
        for i, outcome in enumerate(outcomes, start=first):
            if isinstance(outcome, str):
                if self.settings.on_error == "fail":
                    raise _unreadable(self.source.item_name(i), outcome)
            elif grey_only and not outcome.grey:
                raise _ColourFoundError


def _unreadable(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"{name} cannot be decoded: {reason}.",
        "Repair or remove the file, or set data.on_error to skip.",
    )
