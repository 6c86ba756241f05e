"""The index of shards: which classes, in which order, and when it is listed again."""

import os
from pathlib import Path

import pytest

from iddm_cli.data.sources.shards import shard_index
from iddm_cli.data.sources.shards.shard_index import ShardIndex, index_shards
from iddm_cli.data.sources.shards.shard_paths import find_shards
from iddm_cli.data.sources.shards.shard_source import TARS
from iddm_cli.data.sources.source import SourceOptions
from iddm_cli.errors import DatasetError
from tests.data.sources.shards.specimens import make_png, sample, write_tar, write_tars

OPTIONS = SourceOptions((8, 8))


def index(folder: Path) -> ShardIndex:
    shards = find_shards(str(folder), (".tar",))
    assert shards is not None
    return index_shards(shards, TARS, OPTIONS)


def test_an_index_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(shard_index, "start_early", lambda *modules: started.append(modules))
    write_tars(tmp_path / "t")
    first = index(tmp_path / "t")
    assert first.classes == ("cat", "dog", "eel")
    assert first.table.labels.tolist() == [i % 3 for i in range(12)]
    assert first.table.columns["shard"].tolist() == [0] * 5 + [1] * 5 + [2] * 2
    monkeypatch.setattr(shard_index._IndexWriter, "run", lambda _: pytest.fail("listed again"))
    assert index(tmp_path / "t").table.labels.tolist() == first.table.labels.tolist()
    assert started == [TARS.modules], "processes that decode start while it is listed, only then"
    path = tmp_path / "t" / "001.tar"
    os.utime(path, ns=(1, 1))
    with pytest.raises(pytest.fail.Exception, match="listed again"):
        index(tmp_path / "t")


def test_several_processes_list_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tars(tmp_path / "t")
    first = index(tmp_path / "t")
    monkeypatch.setattr(shard_index, "PARALLEL_BYTES", 1)
    monkeypatch.setattr(shard_index, "FORMAT", 0)
    again = index(tmp_path / "t")
    for key, column in first.table.columns.items():
        assert again.table.columns[key].tolist() == column.tolist()


def test_numbers_get_the_names_in_a_file_beside_the_shards(tmp_path: Path) -> None:
    write_tar(tmp_path / "t" / "0.tar", [*sample(0, label="1"), *sample(1, label="0")])
    assert index(tmp_path / "t").classes == ("0", "1")
    (tmp_path / "t" / "classes.txt").write_text("cat\ndog\n")
    named = index(tmp_path / "t")
    assert named.classes == ("cat", "dog")
    assert named.table.labels.tolist() == [1, 0]
    assert "class names from classes.txt" in named.notes


def test_folders_are_classes_where_no_file_is(tmp_path: Path) -> None:
    write_tar(tmp_path / "t" / "0.tar", [("dog/1.png", make_png(1)), ("dog/2.png", make_png(2))])
    write_tar(tmp_path / "t" / "1.tar", [("cat/1.png", make_png(1))])
    found = index(tmp_path / "t")
    assert (found.classes, found.table.labels.tolist()) == (("cat", "dog"), [1, 1, 0])


def test_images_without_a_class_are_counted(tmp_path: Path) -> None:
    write_tar(tmp_path / "t" / "0.tar", [*sample(0), *sample(1), ("9.png", make_png(9))])
    found = index(tmp_path / "t")
    assert len(found.table) == 2
    assert "images without a class, left out: 1 of 3" in found.notes


def test_few_labels_are_none(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "t" / "0.tar", [*sample(0), *((f"{i}.png", make_png(i)) for i in range(9))]
    )
    found = index(tmp_path / "t")
    assert (found.classes, len(found.table)) == ((), 10)


def test_shards_without_images(tmp_path: Path) -> None:
    write_tar(tmp_path / "t" / "0.tar", [("a.txt", b"text")])
    with pytest.raises(DatasetError, match="hold no image"):
        index(tmp_path / "t")
    assert not list((tmp_path / "cache" / "indices").glob("*.partial*"))
