"""Files of shards: many generated images in one tar or Parquet file, written as a whole.

A tar has 000012.png and 000012.json for each image, as in webdataset. A Parquet file has the
columns that Hugging Face datasets reads: image, label (with the names of the classes), index and
metadata. Its bytes are a function of the images alone.
"""

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from iddm_cli import durable

ROWS = 100
"""Images of a row group of Parquet, as Hugging Face datasets writes them."""


@dataclass(frozen=True)
class ShardImage:
    """An image of a shard.

    Attributes:
        key: Its name, without a suffix.
        suffix: That of its file format.
        content: The bytes of its file.
        label: Its class; None without classes.
        metadata: How it was sampled.
    """

    key: str
    suffix: str
    content: bytes
    label: int | None
    metadata: Mapping[str, object]


class ShardFile(Protocol):
    """A shard that is being written: a context manager, which removes what is not published."""

    def __enter__(self) -> "ShardFile": ...

    def __exit__(self, *problem: object) -> None: ...

    def add(self, image: ShardImage) -> None:
        """Append an image.

        Raises:
            OSError: The file cannot be written.
        """

    def publish(self) -> None:
        """Complete the shard under its name.

        Raises:
            OSError: The file cannot be written.
        """


class TarShard:
    """A tar of samples.

    Args:
        path: Its path.
        classes: Names of all classes of the model.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path = path
        self.classes = classes
        self._temporary = durable.partial_path(path)
        self._handle = self._temporary.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._handle, mode="w", format=tarfile.USTAR_FORMAT)

    def __enter__(self) -> "TarShard":
        return self

    def __exit__(self, *_problem: object) -> None:
        self._handle.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, image: ShardImage) -> None:
        """Append an image and its metadata."""
        facts = dict(image.metadata)
        if image.label is not None:
            facts = {"label": self.classes[image.label], "class_index": image.label, **facts}
        self._append(f"{image.key}.{image.suffix}", image.content)
        self._append(f"{image.key}.json", json.dumps(facts, ensure_ascii=False).encode())

    def _append(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))

    def publish(self) -> None:
        """Complete the tar, flush it, and give it its name."""
        self._tar.close()
        durable.fsync_file(self._handle)
        self._handle.close()
        _publish(self._temporary, self.path)


class ParquetShard:
    """A Parquet file of images.

    Args:
        path: Its path.
        classes: Names of all classes of the model.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self._schema = _make_schema(classes)
        self._temporary = durable.partial_path(path)
        self._handle = self._temporary.open("wb")
        self._writer = pq.ParquetWriter(self._handle, self._schema, use_dictionary=False)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "ParquetShard":
        return self

    def __exit__(self, *_problem: object) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is removed in any case
            self._writer.close()
        self._handle.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, image: ShardImage) -> None:
        """Append a row."""
        row = {
            "image": {"bytes": image.content, "path": f"{image.key}.{image.suffix}"},
            "label": image.label,
            "index": image.metadata["index"],
            "metadata": json.dumps(image.metadata, ensure_ascii=False),
        }
        self._rows.append({name: row[name] for name in self._schema.names})
        if len(self._rows) == ROWS:
            self._write_rows()

    def _write_rows(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows = []

    def publish(self) -> None:
        """Complete the file, flush it, and give it its name."""
        if self._rows:
            self._write_rows()
        self._writer.close()
        durable.fsync_file(self._handle)
        self._handle.close()
        _publish(self._temporary, self.path)


def _publish(temporary: Path, path: Path) -> None:
    """Give a complete shard its name, unless another process has done so with its own.

    Raises:
        OSError: The rename failed.
    """
    try:
        durable.publish_file(temporary, path)
    except FileNotFoundError:  # the other process, with the same images, took it for a leftover
        if not path.exists():
            raise


def _make_schema(classes: Sequence[str]) -> Any:
    """Return the schema, with the features that Hugging Face datasets reads from it."""
    import pyarrow as pa

    features: dict[str, object] = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
        "index": {"dtype": "int64", "_type": "Value"},
        "metadata": {"dtype": "string", "_type": "Value"},
    }
    kinds = {
        "image": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "label": pa.int64(),
        "index": pa.int64(),
        "metadata": pa.string(),
    }
    if not classes:
        del features["label"], kinds["label"]
    content = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    return pa.schema(list(kinds.items())).with_metadata({"huggingface": content})


SHARD_FILES: Mapping[str, Callable[[Path, Sequence[str]], ShardFile]] = {
    "tar": TarShard,
    "parquet": ParquetShard,
}
"""What writes the shards of `--to`; its names are also their suffixes."""
