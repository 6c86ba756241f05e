"""The table of images: written shard by shard, mapped as it was written."""

from pathlib import Path

import numpy as np

from iddm_cli.data.sources.shards.record_table import (
    FOLDER_LABEL,
    RecordTableWriter,
    read_table,
)
from iddm_cli.data.sources.shards.shard_records import ShardLabels, ShardRecords


def records(start: int, labels: list[str], names: list[str] | None) -> ShardRecords:
    count = len(labels)
    return ShardRecords(
        offsets=np.arange(start, start + count) * 2**33,
        lengths=np.arange(count),
        labels=ShardLabels.encode(labels),
        folders=ShardLabels.encode(["f"] * count),
        names=names,
    )


def write(folder: Path, origin: str | None, numbers: dict[int, int]) -> int:
    writer = RecordTableWriter(folder)
    writer.append(0, records(0, ["b", "", "a"], ["x", "żółw", "z"]))
    writer.append(7, records(3, ["a", "c"], None))
    assert (writer.classes, writer.labelled, writer.in_folders) == ({"b": 0, "a": 1, "c": 2}, 4, 5)
    return writer.publish(origin, numbers, {"notes": ["n"]})


def test_all_images_without_classes(tmp_path: Path) -> None:
    for left in (".partial-9-t", ".partial-9-u"):  # of killed processes
        (tmp_path / left).mkdir()
    assert write(tmp_path / "t", None, {}) == 0
    table = read_table(tmp_path / "t")
    assert table is not None
    assert [table.locate(i) for i in range(len(table))] == [
        *((0, 0, 0), (0, 2**33, 1), (0, 2**34, 2)),
        *((7, 3 * 2**33, 0), (7, 2**35, 1)),
    ]
    assert [table.name(i) for i in range(5)] == ["x", "żółw", "z", "", ""]
    assert table.labels.tolist() == [0] * 5
    assert table.facts == {"notes": ["n"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-9-u", "t"]


def test_images_without_a_class_are_left_out(tmp_path: Path) -> None:
    assert write(tmp_path / "t", "label", {0: 1, 1: 0, 2: 2}) == 1
    table = read_table(tmp_path / "t")
    assert table is not None
    assert table.labels.tolist() == [1, 0, 0, 2]
    assert [table.name(i) for i in range(4)] == ["x", "z", "", ""]


def test_classes_from_folders(tmp_path: Path) -> None:
    assert write(tmp_path / "t", FOLDER_LABEL, {0: 5}) == 0
    table = read_table(tmp_path / "t")
    assert table is not None and table.labels.tolist() == [5] * 5


def test_a_damaged_table_is_none(tmp_path: Path) -> None:
    write(tmp_path / "t", None, {})
    path = tmp_path / "t" / "offset.npy"
    path.write_bytes(path.read_bytes()[:-8])
    assert read_table(tmp_path / "t") is None
    assert read_table(tmp_path / "other") is None


def test_an_unfinished_table_leaves_nothing(tmp_path: Path) -> None:
    writer = RecordTableWriter(tmp_path / "t")
    writer.append(0, records(0, ["a"], None))
    writer.discard()
    assert list(tmp_path.iterdir()) == []
