"""Compressed tars: decompressed once, to the cache, while the disk has space."""

import gzip
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from iddm_cli.data.sources import untar as unpacking
from iddm_cli.data.sources.archive_reader import (
    read_archive,
)
from iddm_cli.errors import DatasetError
from tests.data.sources.archives import (
    COMPRESSED,
    FILES,
    copies,
    make,
    opened,
)


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Each time that something is unpacked."""
    calls: list[Path] = []
    unpack = unpacking._decompress
    monkeypatch.setattr(
        unpacking, "_decompress", lambda packed, copy: (calls.append(copy), unpack(packed, copy))
    )
    return calls


@pytest.mark.parametrize("kind", COMPRESSED)
def test_a_compressed_tar_is_unpacked_once(
    tmp_path: Path, cache_dir: Path, kind: str, unpacked: list[Path]
) -> None:
    place = make(tmp_path / f"a.{kind}", FILES)
    first = read_archive(place)
    os.utime(place, (1, 1))
    moved = place.rename(tmp_path / f"b.{kind}")
    assert read_archive(moved).index.paths == first.index.paths
    assert len(unpacked) == 1
    assert copies(cache_dir) == [unpacked[0].name]
    with tarfile.open(unpacked[0], "r:") as archive:
        assert archive.getnames() == list(FILES)


def test_a_plain_tar_and_a_zip_are_read_where_they_are(tmp_path: Path, cache_dir: Path) -> None:
    for kind in ("tar", "zip", "deflated.zip"):
        read_archive(make(tmp_path / f"a.{kind}", FILES))
    make(tmp_path / "b.tar", FILES).rename(tmp_path / "misnamed.tar.gz")
    assert opened(tmp_path / "misnamed.tar.gz").classes == ("cat", "dog")
    assert copies(cache_dir) == []


def test_the_content_and_not_the_name_says_how_it_is_compressed(tmp_path: Path) -> None:
    make(tmp_path / "a.tar.xz", FILES).rename(tmp_path / "a.tar.gz")
    assert opened(tmp_path / "a.tar.gz").classes == ("cat", "dog")


def test_two_versions_of_an_archive_have_two_copies(
    tmp_path: Path, cache_dir: Path, unpacked: list[Path]
) -> None:
    """Even where size and time are the same."""
    place = tmp_path / "a.tar.gz"
    versions = []
    for shade in (b"P5 1 1 255 a", b"P5 1 1 255 b"):
        with gzip.GzipFile(place, "w", compresslevel=0, mtime=0) as pressed:
            pressed.write(make(tmp_path / "a.tar", {"x/1.pgm": shade}).read_bytes())
        os.utime(place, (1, 1))
        source = opened(place)
        versions.append((place.stat().st_size, source.image(0).open().image.tobytes()))
    assert versions == [(versions[0][0], b"a"), (versions[0][0], b"b")]
    assert len(set(unpacked)) == len(copies(cache_dir)) == 2


def test_a_full_disk_is_not_filled_further(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "a.tar.gz", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"would fill the disk: 1\.07 GB free in") as caught:
        read_archive(place)
    assert "IDDM_CACHE_DIR" in caught.value.hint
    assert copies(cache_dir) == []


def test_room_is_looked_at_as_the_copy_grows(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "a.tar.gz", {"x.png": bytes(50_000)})
    free = [2**40, 2**40, 2**20]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 8192)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free.pop(0)))
    with pytest.raises(DatasetError, match=r"0\.00 GB free in"):
        read_archive(place)
    assert free == []
    assert copies(cache_dir) == []


@pytest.mark.parametrize("where", ["write", "fsync_file"])
def test_a_failed_copy_leaves_nothing(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if where == "write":
        monkeypatch.setattr(shutil, "disk_usage", fail)
    else:
        monkeypatch.setattr(unpacking.durable, "fsync_file", fail)
    with pytest.raises((DatasetError, OSError), match="No space left"):
        read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert copies(cache_dir) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, cache_dir: Path) -> None:
    cache_dir.write_text("a file is in the way")
    with pytest.raises(DatasetError, match=r"the cache folder .* cannot be written") as caught:
        read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert "IDDM_CACHE_DIR" in caught.value.hint
    assert opened(make(tmp_path / "a.tar", FILES)).classes == ("cat", "dog")


def test_a_copy_that_has_gone_bad_is_made_again(
    tmp_path: Path, cache_dir: Path, unpacked: list[Path]
) -> None:
    place = make(tmp_path / "a.tar.gz", FILES)
    read_archive(place)
    os.truncate(unpacked[0], 700)
    with pytest.raises(DatasetError):
        read_archive(place)
    assert read_archive(place).index.classes == ("cat", "dog")
    assert len(unpacked) == 2


def test_copies_that_were_cut_off_long_ago_are_swept(tmp_path: Path, cache_dir: Path) -> None:
    folder = cache_dir / "archives"
    folder.mkdir(parents=True)
    for name, age in ((".partial-1-old.tar", 5000), (".partial-2-new.tar", 5)):
        (folder / name).touch()
        written = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (written, written))
    read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert [name for name in copies(cache_dir) if name.startswith(".")] == [".partial-2-new.tar"]
