"""The index of a sharded dataset: listed once, then mapped from the cache.

It is found again while the names, sizes and times of the shards stay the same, and the settings
that labels depend on.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from iddm_cli.data.cache import cache_error, cache_folder, lock_path, mark_used
from iddm_cli.data.decoding.images import ImageHandle
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool, start_early
from iddm_cli.data.sources.indexing.labels.class_names import name_numbers
from iddm_cli.data.sources.indexing.labels.labelling import Labelling, LabelScan, sort_classes
from iddm_cli.data.sources.indexing.labels.shards import describe_shards
from iddm_cli.data.sources.indexing.listing import SkippedFile, to_printable
from iddm_cli.data.sources.shards.record_table import (
    FOLDER_LABEL,
    RecordTable,
    RecordTableWriter,
    read_table,
)
from iddm_cli.data.sources.shards.shard_paths import ShardPaths
from iddm_cli.data.sources.shards.shard_records import ShardRecords
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from iddm_cli.storage.file_locks import hold_or_wait

FORMAT = 1
PARALLEL_BYTES = 2**28
"""Shards of more bytes in all are listed by several processes."""

LISTING_SECONDS = 3600.0
MAX_SKIPPED = 1000
"""Entries that are listed as skipped; the others are counted."""


@dataclass(frozen=True)
class ShardFormat:
    """One format of shards: all that the program knows about it.

    Attributes:
        name: What messages call its shards.
        suffixes: Suffixes of the files, in lower case.
        list_shard: `list_shard(path, options)` lists the images of a shard.
        locate: `locate(path, offset, length)` returns a handle of an image.
        modules: What the processes that decode its images import.
    """

    name: str
    suffixes: tuple[str, ...]
    list_shard: Callable[[Path, SourceOptions], ShardRecords]
    locate: Callable[[Path, int, int], ImageHandle]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardIndex:
    """The images of a sharded dataset and what is known of them.

    Attributes:
        table: The images.
        classes: Names of the classes; empty without classes.
        skipped: Entries that are not used, with reasons.
        notes: How the shards were understood, as sentences for the user.
    """

    table: RecordTable
    classes: tuple[str, ...]
    skipped: list[SkippedFile]
    notes: list[str]


def index_shards(shards: ShardPaths, form: ShardFormat, options: SourceOptions) -> ShardIndex:
    """Return the index of some shards, from the cache or newly listed.

    Raises:
        DatasetError: A shard is damaged, there is no image, or the cache cannot be written.
    """
    folder = cache_folder() / "indices" / _digest_facts(shards, form, options)
    table = read_table(folder)
    if table is None:
        start_early(*form.modules)  # whoever lists a dataset for the first time will decode it
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with hold_or_wait(lock_path(folder), lambda: None):
                if read_table(folder) is None:
                    _IndexWriter(folder, shards, form, options).run()
        except OSError as error:
            raise cache_error(error, folder.parent) from error
        table = read_table(folder)
        assert table is not None, "it was just written"
    mark_used(folder)
    skipped: list[SkippedFile] = [(name, reason) for name, reason in table.facts["skipped"]]  # type: ignore[attr-defined]
    classes, notes = table.facts["classes"], table.facts["notes"]
    return ShardIndex(table, tuple(classes), skipped, list(notes))  # type: ignore[call-overload,arg-type]


def _digest_facts(shards: ShardPaths, form: ShardFormat, options: SourceOptions) -> str:
    """Return a digest of all that an index depends on."""
    beside = list(shards.label_files)
    stamps = [_stamp(shards.base / path) for path in (*shards.paths, *beside)]
    labels = {**asdict(options.labels), "required": None}
    facts = [FORMAT, form.name, shards.paths, beside, stamps, labels, options.archive_encoding]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(
            f"{to_printable(str(path))} cannot be read: {error.strerror or error}",
            "Check data.path.",
        ) from error
    return [status.st_size, status.st_mtime_ns]


class _IndexWriter:
    """Lists shards, and writes their index."""

    def __init__(
        self, folder: Path, shards: ShardPaths, form: ShardFormat, options: SourceOptions
    ) -> None:
        self.shards = shards
        self.form = form
        self.options = options
        self.writer = RecordTableWriter(folder)
        self.skipped: list[SkippedFile] = []
        self.unlisted = 0
        self.notes: Counter[str] = Counter()
        self.orders: set[tuple[str, ...] | None] = set()

    def run(self) -> None:
        """Write the index.

        Raises:
            DatasetError: A shard is damaged, or there is no image.
            OSError: The cache cannot be written.
        """
        try:
            for number, records in enumerate(self._list_shards()):
                self.add(number, records)
            self.finish()
        finally:
            self.writer.discard()

    def _list_shards(self) -> Iterator[ShardRecords]:
        """Yield the records of each shard, in order; large sets are listed by several processes."""
        paths = [self.shards.base / path for path in self.shards.paths]
        work = partial(_list_shard, self.form, self.options)
        if len(paths) == 1 or sum(path.stat().st_size for path in paths) < PARALLEL_BYTES:
            yield from map(work, paths)
            return
        with WorkerPool(0, timeout=LISTING_SECONDS) as workers:
            for path, results in zip(paths, workers.map_ordered(work, paths, chunk=1), strict=True):
                for result in results:
                    if isinstance(result, WorkerFailure):
                        raise DatasetError(
                            f"{path} cannot be listed: {result.reason}", "Check the file."
                        )
                    yield result

    def add(self, number: int, records: ShardRecords) -> None:
        """Add the images of a shard."""
        self.writer.append(number, records)
        shard = self.shards.paths[number]
        room = max(0, MAX_SKIPPED - len(self.skipped))
        self.skipped += [(f"{shard}/{name}", why) for name, why in records.skipped[:room]]
        self.unlisted += len(records.skipped[room:])
        self.notes.update(records.notes)
        self.orders.add(records.order)

    def finish(self) -> None:
        """Decide on the classes, and complete the index."""
        writer = self.writer
        if not writer.count:
            raise _no_images(self.shards, self.form, self.skipped)
        origin, found = self._choose_origin()
        notes = [self._describe(note, count) for note, count in self.notes.items()]
        order, names = self._order_classes(found, notes) if origin else ([], {})
        finals = {name: number for number, name in enumerate(order)}
        numbers = {number: finals[names[name]] for name, number in found.items()}
        without = self._count_unlabelled(origin)
        if without:
            notes.append(f"images without a class, left out: {without:,} of {writer.count:,}")
        if self.unlisted:
            notes.append(f"further entries that are not used: {self.unlisted:,}")
        facts = {"classes": order, "skipped": self.skipped, "notes": notes}
        writer.publish(origin, numbers, facts)

    def _choose_origin(self) -> tuple[str | None, dict[str, int]]:
        """Return the column of the classes, and its classes: labels, else folders, else none."""
        writer = self.writer
        if 2 * writer.labelled >= writer.count and writer.classes:
            return "label", writer.classes
        if writer.in_folders == writer.count and len(writer.folders) > 1:
            self.notes["classes from the folders in the shards"] = len(self.shards.paths)
            counts = dict.fromkeys(writer.folders, 1)
            if warning := describe_shards(counts):
                self.notes[warning] = len(self.shards.paths)
            return FOLDER_LABEL, writer.folders
        if writer.labelled:
            self.notes[f"classes of {writer.labelled:,} of {writer.count:,} images are unused"] = (
                len(self.shards.paths)
            )
        return None, {}

    def _count_unlabelled(self, origin: str | None) -> int:
        return self.writer.count - self.writer.labelled if origin == "label" else 0

    def _order_classes(
        self, found: dict[str, int], notes: list[str]
    ) -> tuple[list[str], dict[str, str]]:
        """Return the classes in the order of their labels, and the name of each class found."""
        names = {name: name for name in found}
        if len(self.orders) == 1 and (order := next(iter(self.orders))) is not None:
            return [name for name in order if name in found], names
        labelling = Labelling(dict(names))
        name_numbers(self._scan_beside(), labelling)
        notes += labelling.notes
        names = labelling.classes or names
        return labelling.order or sort_classes(set(names.values())), names

    def _scan_beside(self) -> LabelScan:
        """Return the files beside the shards, of which one may hold the names of the classes."""
        return LabelScan(
            base="",
            paths=(),
            all_paths=(),
            files=self.shards.label_files,
            read=lambda name: (self.shards.base / name).read_bytes(),
            options=self.options.labels,
            has_class_folders=False,
        )

    def _describe(self, note: str, count: int) -> str:
        total = len(self.shards.paths)
        return note if count == total else f"{note} (in {count:,} of {total:,} shards)"


def _list_shard(form: ShardFormat, options: SourceOptions, path: Path) -> ShardRecords:
    return form.list_shard(path, options)


def _no_images(
    shards: ShardPaths, form: ShardFormat, skipped: Sequence[SkippedFile]
) -> DatasetError:
    where = os.fspath(shards.base / shards.paths[0])
    count = len(shards.paths)
    first = f"; {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
    return DatasetError(
        f"the {form.name} hold no image: {count:,} files such as {to_printable(where)}{first}",
        "Check data.path.",
    )
