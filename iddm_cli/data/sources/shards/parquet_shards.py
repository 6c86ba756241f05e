"""Parquet shards: images and their classes in the columns of tables."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.images import (
    MAX_FILE_BYTES,
    DecodedImage,
    UnreadableImageError,
    decode_image,
)
from iddm_cli.data.sources.indexing.labels.tables.table_rows import to_class_name
from iddm_cli.data.sources.shards.parquet_columns import ParquetColumns, choose_columns
from iddm_cli.data.sources.shards.shard_records import NO_CLASS, ShardLabels, ShardRecords
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 64
"""Rows that are decompressed at a time."""

OPEN_FILES = 4


@dataclass(frozen=True)
class ParquetImage:
    """An image of a row: cheap to send to another process, which reads it there."""

    path: str
    row: int

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode the image; see `ImageHandle.open`."""
        try:
            status = Path(self.path).stat()
            reader = _open_reader(self.path, status.st_mtime_ns, status.st_size)
            content = reader.read(self.row)
        except _list_errors() as error:
            raise UnreadableImageError(f"damaged in its table: {_describe(error)}") from error
        if content is None:
            raise UnreadableImageError("the row holds no bytes of an image")
        if not content:
            raise UnreadableImageError("the image is empty")
        if len(content) > MAX_FILE_BYTES:
            raise UnreadableImageError(f"too large: more than {MAX_FILE_BYTES // 2**20} MiB")
        return decode_image(io.BytesIO(content), min_side)


def locate_parquet_image(path: Path, offset: int, _length: int) -> ParquetImage:
    """Return a handle of the image in a row."""
    return ParquetImage(str(path), offset)


def list_parquet_shard(path: Path, options: SourceOptions) -> ShardRecords:
    """List the rows of a Parquet file, with their classes; no image is read.

    Raises:
        DatasetError: It is damaged, or has no column of images.
    """
    try:
        with _open_file(path) as file:
            columns = choose_columns(file.schema_arrow, options.labels.column, path.name)
            labels = _read_labels(file, columns)
            names = _read_names(file, columns)
            count = file.metadata.num_rows
    except _list_errors() as error:
        raise DatasetError(
            f"{path} cannot be read as Parquet: {_describe(error)}",
            "It may be incomplete; copy or download it again.",
        ) from error
    nothing = ShardLabels(np.full(count, NO_CLASS, np.int32), ())
    return ShardRecords(
        offsets=np.arange(count, dtype=np.int64),
        lengths=np.zeros(count, np.int64),
        labels=labels or nothing,
        folders=nothing,
        names=names,
        order=columns.class_names,
        notes=list(columns.notes),
    )


class _RowReader:
    """Reads the images of a file, fast where rows follow each other.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._file = _open_file(Path(path))
        self._columns = choose_columns(self._file.schema_arrow, "label", path)
        sizes = [
            self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(sizes)])
        self._batches: Iterator[Any] = iter(())
        self._images: Any = None
        self._first = self._end = -1  # the rows in `_images`
        self._group = -1

    def read(self, row: int) -> bytes | None:
        """Return the bytes of the image of a row; None if it has none."""
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group != self._group or row < self._first:
            name = f"{self._columns.image}.bytes" if self._columns.is_struct else None
            self._batches = self._file.iter_batches(
                ROWS, [group], [name or self._columns.image], use_threads=False
            )
            self._group, self._first = group, int(self._starts[group])
            self._end = self._first
        while row >= self._end:
            batch = next(self._batches).column(0)
            self._images = batch.field("bytes") if self._columns.is_struct else batch
            self._first, self._end = self._end, self._end + len(batch)
        content = self._images[row - self._first].as_py()
        return content if isinstance(content, bytes) else None


@lru_cache(maxsize=OPEN_FILES)
def _open_reader(path: str, _changed: int, _size: int) -> _RowReader:
    """Return the reader of a file, which stays open until others are read or it changes."""
    return _RowReader(path)


def _open_file(path: Path) -> "pq.ParquetFile":
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, memory_map=False, pre_buffer=False)


def _list_errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return OSError, ValueError, KeyError, StopIteration, pa.ArrowException


def _describe(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__


def _read_labels(file: "pq.ParquetFile", columns: ParquetColumns) -> ShardLabels | None:
    """Return the class of each row; None without a column of classes."""
    if columns.label is None:
        return None
    column = file.read([columns.label], use_threads=False).column(0).combine_chunks()
    encoded = column if hasattr(column, "indices") else column.dictionary_encode()
    numbers = encoded.indices.fill_null(NO_CLASS).to_numpy(zero_copy_only=False)
    names = [_name_class(value, columns) for value in encoded.dictionary.to_pylist()]
    return _merge(numbers.astype(np.int64), names)


def _name_class(value: object, columns: ParquetColumns) -> str:
    """Return the name of a class; "" for none: -1 where the classes have names, or null."""
    names = columns.class_names
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else ""
    return to_class_name(value)


def _merge(numbers: ndarray, names: list[str]) -> ShardLabels:
    """Return the labels; values of one name are one class, and those without a name none."""
    known = {name: number for number, name in enumerate(dict.fromkeys(filter(None, names)))}
    table = np.array([*(known.get(name, NO_CLASS) for name in names), NO_CLASS], np.int32)
    return ShardLabels(table[numbers], tuple(known))


def _read_names(file: "pq.ParquetFile", columns: ParquetColumns) -> list[str] | None:
    """Return the path of each image; None where some have none."""
    if not columns.has_path:
        return None
    column: pa.ChunkedArray = file.read([f"{columns.image}.path"], use_threads=False).column(0)
    names = [str((entry or {}).get("path") or "") for entry in column.to_pylist()]
    return names if all(names) else None
