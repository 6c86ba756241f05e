"""Shards as a dataset: the same images whatever holds them."""

import importlib.util
from pathlib import Path

import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.registry import open_source
from iddm_cli.data.sources.shards.shard_source import ShardSource
from iddm_cli.errors import UsageError
from iddm_cli.profiles.settings import DataSettings
from tests.data.sources.shards.specimens import NAMES, make_png, write_parquet, write_tars

needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="the extra parquet is not installed"
)


def open_shards(path: Path | str) -> ShardSource:
    source = open_source(str(path), size=(8, 8))
    assert isinstance(source, ShardSource)
    return source


def settings(path: Path | str, workers: int = 1) -> DataSettings:
    return DataSettings(path=str(path), image_size=8, workers=workers, held_out=0)


@needs_pyarrow
def test_tars_and_parquet_give_the_pack_of_the_folder(tmp_path: Path) -> None:
    write_tars(tmp_path / "tars")
    write_parquet(tmp_path / "pq" / "0.parquet", range(7))
    write_parquet(tmp_path / "pq" / "1.parquet", range(7, 12))
    packs = {
        name: build_pack(open_shards(tmp_path / name), settings(tmp_path / name))
        for name in ("tars", "pq")
    }
    assert packs["tars"].digest == packs["pq"].digest
    for pack in packs.values():
        assert (pack.classes, pack.labels.tolist()) == (NAMES, [i % 3 for i in range(12)])
        assert pack.images_path.read_bytes()[:: 3 * 64] == bytes(range(12))


def test_the_pack_is_the_same_for_every_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tars(tmp_path / "tars")
    found = set()
    for workers in (1, 3):
        monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / f"cache-{workers}"))
        pack = build_pack(open_shards(tmp_path / "tars"), settings(tmp_path / "tars", workers))
        found.add((pack.digest, pack.images_path.read_bytes(), tuple(pack.names)))
    assert len(found) == 1


def test_names_and_patterns(tmp_path: Path) -> None:
    write_tars(tmp_path / "tars")
    source = open_shards(tmp_path / "tars" / "{001..002}.tar")
    assert (len(source), source.item_name(6)) == (7, "002.tar/000011.png")
    assert source.name == "{001..002}.tar"
    assert source.stored_bytes() > 0


@needs_pyarrow
def test_the_held_out_part_is_that_of_the_names(tmp_path: Path) -> None:
    write_parquet(tmp_path / "pq" / "train-00000-of-00001.parquet", range(6))
    write_parquet(tmp_path / "pq" / "test-00000-of-00001.parquet", range(6, 9))
    source = open_shards(tmp_path / "pq")
    part = source.held_out
    assert part is not None
    assert (len(source), part.name, len(part.source)) == (6, "test", 3)
    pack = build_pack(source, settings(tmp_path / "pq").model_copy(update={"held_out": 0.05}))
    assert pack.held_out is not None
    assert (pack.count, pack.held_out.count, pack.held_out.part) == (6, 3, "test")


def test_the_fingerprint_changes_with_an_image_and_with_a_class(tmp_path: Path) -> None:
    folder = write_tars(tmp_path / "tars")
    first = open_shards(folder).fingerprint()
    assert open_shards(folder).fingerprint() == first
    path = folder / "001.tar"
    old, new = make_png(6), make_png(66)
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    second = open_shards(folder).fingerprint()
    path.write_bytes(path.read_bytes().replace(b"dog", b"cat"))
    assert len({first, second, open_shards(folder).fingerprint()}) == 3


def test_without_pyarrow_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("iddm_cli.extras.find_spec", lambda _: None)
    with pytest.raises(UsageError) as caught:
        open_shards(tmp_path / "a.parquet")
    assert "pip install 'iddm-cli[parquet]'" in caught.value.hint
