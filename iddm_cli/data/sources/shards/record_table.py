"""The table of all images of a sharded dataset: columns on the disk, which memory maps.

Ten million images take some 350 MB of disk, and of memory only what is looked at.

shard.npy          number of the shard of each image, uint32 [N]
offset.npy         where it begins there, int64 [N]
length.npy         its bytes, uint32 [N]; 0 where they are unknown
label.npy          its class, int32 [N]
name_start.npy     where its name begins in names.bin, int64 [N]
name_length.npy    the bytes of its name, uint16 [N]; 0: it is known by its offset
names.bin          all names, UTF-8
table.json         classes, skipped entries and notes
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy import ndarray

from iddm_cli import durable
from iddm_cli.data.sources.shards.shard_records import NO_CLASS, ShardLabels, ShardRecords
from iddm_cli.storage.moves import list_partials

COLUMNS: Mapping[str, str] = {
    "shard": "<u4",
    "offset": "<i8",
    "length": "<u4",
    "label": "<i4",
    "name_start": "<i8",
    "name_length": "<u2",
}
FOLDER_LABEL = "folder_label"
NAMES, FACTS = "names.bin", "table.json"
MAX_NAME_BYTES = 2**16 - 1
BLOCK = 2**20


@dataclass(frozen=True)
class RecordTable:
    """The images of a sharded dataset.

    Attributes:
        columns: The columns, each [N], by name.
        names: All names, uint8.
        facts: The content of table.json.
    """

    columns: Mapping[str, ndarray]
    names: ndarray
    facts: Mapping[str, object]

    def __len__(self) -> int:
        return len(self.columns["shard"])

    @property
    def labels(self) -> ndarray:
        """The class of each image, int32 [N]."""
        return self.columns["label"]

    def locate(self, i: int) -> tuple[int, int, int]:
        """Return the shard of image `i`, where it begins there, and its bytes."""
        shard, offset, length = (int(self.columns[key][i]) for key in ("shard", "offset", "length"))
        return shard, offset, length

    def name(self, i: int) -> str:
        """Return the name of image `i` in its shard; "" where it has none."""
        start, length = int(self.columns["name_start"][i]), int(self.columns["name_length"][i])
        return self.names[start : start + length].tobytes().decode("utf-8", "surrogateescape")


def read_table(folder: Path) -> RecordTable | None:
    """Return the table in a folder; None if there is none, or a damaged one."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        columns = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in COLUMNS}
        path = folder / NAMES
        names = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    except (OSError, ValueError):
        return None
    kinds = {key: column.dtype for key, column in columns.items()}
    sizes = {column.shape for column in columns.values()}
    if kinds != {key: np.dtype(kind) for key, kind in COLUMNS.items()} or len(sizes) != 1:
        return None
    return RecordTable(columns, names, facts) if isinstance(facts, dict) else None


class RecordTableWriter:
    """Writes a table, shard by shard, in a memory that does not grow with it.

    Only one process may write a table: hold its lock.

    Args:
        folder: The folder of the table; it appears as a whole.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = durable.partial_path(folder)
        for partial in list_partials(folder.parent, [folder.name]):  # of killed processes
            durable.discard(partial)
        self.temporary.mkdir(parents=True)
        self.count = 0
        self.labelled = 0
        self.in_folders = 0
        self.classes: dict[str, int] = {}
        self.folders: dict[str, int] = {}
        self._names_bytes = 0
        self._files: dict[str, IO[bytes]] = {
            key: self._raw_path(key).open("wb") for key in (*COLUMNS, FOLDER_LABEL)
        }
        self._names = (self.temporary / NAMES).open("wb")

    def _raw_path(self, key: str) -> Path:
        return self.temporary / f"{key}.raw"

    def append(self, shard: int, records: ShardRecords) -> None:
        """Append the images of a shard.

        Raises:
            OSError: The disk is full, or cannot be written.
        """
        count = len(records.offsets)
        names = [_encode_name(name) for name in records.names or ()]
        lengths = np.array([len(name) for name in names] or [0] * count, np.int64)
        starts = self._names_bytes + np.cumsum(lengths) - lengths
        labels = _number_all(records.labels, self.classes)
        folders = _number_all(records.folders, self.folders)
        columns = {
            "shard": np.full(count, shard),
            "offset": records.offsets,
            "length": np.minimum(records.lengths, np.iinfo(np.uint32).max),
            "label": labels,
            "name_start": starts,
            "name_length": lengths,
            FOLDER_LABEL: folders,
        }
        for key, column in columns.items():
            kind = COLUMNS.get(key, COLUMNS["label"])
            durable.disk.write(self._files[key], np.asarray(column).astype(kind).tobytes())
        durable.disk.write(self._names, b"".join(names))
        self._names_bytes += int(lengths.sum())
        self.count += count
        self.labelled += int((labels != NO_CLASS).sum())
        self.in_folders += int((folders != NO_CLASS).sum())

    def publish(
        self, origin: str | None, numbers: Mapping[int, int], facts: Mapping[str, object]
    ) -> int:
        """Complete the table; return the number of images that are left out for want of a class.

        Args:
            origin: The column of the classes, label or folder_label; None: there are no classes.
            numbers: The final number of each class of this column; others have none.
            facts: The content of table.json.

        Raises:
            OSError: The disk is full, or cannot be written.
        """
        durable.fsync_file(self._names)
        self.close()
        kept = None
        if origin is not None:
            label = _apply_numbers(self._read_raw(origin), numbers)
            kept = np.flatnonzero(label != NO_CLASS)
            self._save("label", label[kept])
        else:
            self._save("label", np.zeros(self.count, COLUMNS["label"]))
        for key in COLUMNS:
            if key != "label":
                column = self._read_raw(key)
                self._save(key, column if kept is None else column[kept])
        for key in (*COLUMNS, FOLDER_LABEL):
            self._raw_path(key).unlink()
        durable.write_file(self.temporary / FACTS, json.dumps(facts).encode())
        if self.folder.exists():
            durable.disk.remove(self.folder)
        durable.publish_folder(self.temporary, self.folder)
        return 0 if kept is None else self.count - len(kept)

    def _read_raw(self, key: str) -> ndarray:
        return np.fromfile(self._raw_path(key), COLUMNS.get(key, COLUMNS["label"]))

    def _save(self, key: str, column: ndarray) -> None:
        with (self.temporary / f"{key}.npy").open("wb") as handle:
            np.save(handle, column.astype(COLUMNS[key], copy=False))
            durable.fsync_file(handle)

    def close(self) -> None:
        """Close the files."""
        for handle in (*self._files.values(), self._names):
            handle.close()

    def discard(self) -> None:
        """Remove an unfinished table."""
        self.close()
        durable.discard(self.temporary)


def _encode_name(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")[:MAX_NAME_BYTES]


def _number_all(labels: ShardLabels, known: dict[str, int]) -> ndarray:
    """Return the labels of a shard as numbers of the whole dataset; new classes get new ones."""
    numbers = [known.setdefault(name, len(known)) for name in labels.names]
    table = np.array([*numbers, NO_CLASS], np.int32)  # NO_CLASS, -1, is the last one
    return table[labels.numbers]


def _apply_numbers(column: ndarray, numbers: Mapping[int, int]) -> ndarray:
    size = max(numbers, default=-1) + 2
    table = np.full(max(size, int(column.max(initial=-1)) + 2), NO_CLASS, np.int32)
    for old, new in numbers.items():
        table[old] = new
    return table[column]
