"""Parquet files: rows, their images in any order, and their classes."""

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra parquet is not installed")

from iddm_cli.data.decoding.images import UnreadableImageError
from iddm_cli.data.sources.shards.parquet_shards import (
    list_parquet_shard,
    locate_parquet_image,
)
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from tests.data.sources.shards.specimens import write_parquet

OPTIONS = SourceOptions((8, 8))


def red(path: Path, row: int) -> int:
    return locate_parquet_image(path, row, 0).open().image.getpixel((0, 0))[0]


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_rows_in_any_order(tmp_path: Path, rows: int) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(10), rows=rows)
    order = [*range(10), 9, 3, 3, 4, 0, 7]
    assert [red(path, row) for row in order] == order


def test_class_names_come_from_the_schema(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(4), labels=[2, 0, -1, None])
    records = list_parquet_shard(path, OPTIONS)
    assert records.order == ("cat", "dog", "eel")
    names = [records.labels.names[n] if n >= 0 else "" for n in records.labels.numbers]
    assert names == ["eel", "cat", "", ""]


@pytest.mark.parametrize("labels", [[3, 10, 3], ["b", "a", "b"], [True, False, True]])
def test_other_labels(tmp_path: Path, labels: list[object]) -> None:
    path = write_parquet(tmp_path / "a.parquet", range(3), labels=labels, class_names=None)
    records = list_parquet_shard(path, OPTIONS)
    first, second = (str(label).lower() if label in (True, False) else str(label)
                     for label in labels[:2])  # fmt: skip
    assert records.labels.names == (first, second)
    assert records.labels.numbers.tolist() == [0, 1, 0]


def test_a_row_without_an_image_and_a_damaged_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pa.array([None, b"", b"text"], pa.binary())}), path)
    for row, reason in enumerate(("no bytes", "is empty", "not an image")):
        with pytest.raises(UnreadableImageError, match=reason):
            locate_parquet_image(path, row, 0).open()
    other = tmp_path / "b.parquet"
    other.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match=r"b\.parquet cannot be read as Parquet"):
        list_parquet_shard(other, OPTIONS)
    with pytest.raises(UnreadableImageError, match="damaged in its table"):
        locate_parquet_image(other, 0, 0).open()
