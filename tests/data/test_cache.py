"""The cache: what is in it, how long ago that was used, and that clearing harms nobody."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from iddm_cli.data import cache
from iddm_cli.data.cache import (
    CacheEntry,
    cache_folder,
    list_entries,
    mark_used,
    remove_entries,
    select_entries,
)
from iddm_cli.data.loader.stores import FileStore
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.archive_reader import read_archive
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.profiles.settings import DataSettings
from tests.data.sources.archives import FILES, make

SETTINGS = DataSettings(image_size=4, channels=3, workers=1, held_out=0)
DAY = 86_400


def made(tmp_path: Path, **values: object) -> Pack:
    for i in range(6):
        path = tmp_path / "set" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i, 0, 0)).save(path)
    settings = DataSettings(**{**SETTINGS.model_dump(), **values})
    return build_pack(open_source(str(tmp_path / "set"), size=(4, 4)), settings)


def put(path: Path, size: int, *, days: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    age(path, days)
    return path


def age(path: Path, days: float) -> None:
    """Make a file, or a folder with all in it, look as if it was last used then."""
    then = time.time() - days * DAY
    for file in [*path.rglob("*"), path]:
        os.utime(file, (then, then), follow_symlinks=False)


def kinds() -> dict[str, str]:
    return {entry.key: entry.kind for entry in list_entries()}


@contextmanager
def holding(lock: Path) -> Iterator[None]:
    """Let another process hold a lock, as one that makes a pack does."""
    code = (
        "import sys, filelock\n"
        "with filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        yield
        process.stdin.close()


# --- what is listed ---------------------------------------------------------------------------


def test_nothing(cache_dir: Path) -> None:
    assert list_entries() == []
    assert remove_entries([]) == []
    assert not cache_dir.exists(), "looking makes nothing"


def test_each_kind_is_listed_the_largest_first(tmp_path: Path, cache_dir: Path) -> None:
    packed = made(tmp_path)
    put(cache_dir / "datasets" / "cifar-10-python.tar.gz", 90_000)
    put(cache_dir / "datasets" / "MNIST" / "raw" / "images", 30_000)
    put(cache_dir / "archives" / f"{'a' * 64}.tar", 80_000)
    put(cache_dir / "archives" / f".partial-77-{'b' * 64}.tar", 70_000)
    put(cache_dir / "packs" / f".partial-{'c' * 64}" / "images.u8", 60_000)
    put(cache_dir / "compiled" / "torch-2.14.1+cu130" / "fxgraph" / "ab" / "kernels", 50_000)
    put(cache_dir / "packs" / "stray-file", 9)
    found = list_entries()
    assert [(entry.key, entry.kind) for entry in found] == [
        ("cifar-10-python.tar.gz", "download"),
        ("a" * 12, "archive"),
        ("77-bbbbbbbbb", "partial"),
        ("c" * 12, "partial"),
        ("torch-2.14.1", "compiled"),
        ("MNIST", "download"),
        (packed.folder.name[:12], "pack"),
    ]
    assert [entry.bytes for entry in found] == sorted((e.bytes for e in found), reverse=True)
    assert found[0].bytes == 90_000
    pixels = packed.images_path.stat().st_size
    assert found[-1].bytes > pixels
    assert all(0 <= entry.age_days() < 0.01 for entry in found)
    assert all(entry.path.exists() for entry in found)


def test_two_downloads_never_share_a_key(cache_dir: Path) -> None:
    for name in ("cifar-100-python", "cifar-100-python.tar.gz"):
        put(cache_dir / "datasets" / name, 5)
    assert len(kinds()) == 2


def test_an_unpacked_archive_is_listed(tmp_path: Path) -> None:
    read_archive(make(tmp_path / "a.tar.gz", FILES))
    assert list(kinds().values()) == ["archive"]


def test_a_link_is_not_followed(tmp_path: Path, cache_dir: Path) -> None:
    """Neither when the bytes are counted, nor when it is removed."""
    mine = put(tmp_path / "mine" / "photo.png", 50_000)
    for part in ("packs", "datasets", "archives"):
        (cache_dir / part).mkdir(parents=True)
        (cache_dir / part / "link").symlink_to(mine.parent)
    (cache_dir / "packs" / "p").mkdir()
    (cache_dir / "packs" / "p" / "images.u8").symlink_to(mine)
    found = list_entries()
    assert sum(entry.bytes for entry in found) < 50_000
    assert len(remove_entries(found)) == 4
    assert mine.stat().st_size == 50_000
    assert list_entries() == []


def test_what_vanishes_meanwhile_is_skipped(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = put(cache_dir / "packs" / "p" / "images.u8", 5)
    put(cache_dir / "archives" / "a.tar", 7)
    found = list_entries()
    monkeypatch.setattr(Path, "rglob", lambda *_: iter([gone.with_name("was-here")]))
    monkeypatch.setattr(cache, "_list_children", lambda name: [cache_dir / name / "was-here"])
    assert list_entries() == []
    monkeypatch.undo()
    monkeypatch.setenv("IDDM_CACHE_DIR", str(cache_dir))
    gone.unlink()
    gone.parent.rmdir()
    assert len(remove_entries(found)) == 2


# --- when it was used -------------------------------------------------------------------------


def test_age_is_that_of_the_last_use(tmp_path: Path, cache_dir: Path) -> None:
    folder = made(tmp_path).folder
    age(folder, 40)
    assert list_entries()[0].age_days() == pytest.approx(40, abs=0.01)
    then = time.time() - 7 * DAY
    os.utime(folder / "images.u8", (then, time.time() - 40 * DAY))
    assert list_entries()[0].age_days() == pytest.approx(7, abs=0.01), "a training read it"
    mark_used(folder)
    assert list_entries()[0].age_days() == pytest.approx(0, abs=0.01)
    mark_used(folder / "is not there")


def test_looking_is_no_use(tmp_path: Path, cache_dir: Path) -> None:
    """Reading a folder, or the record of a pack, changes the times of both."""
    folder = made(tmp_path).folder
    age(folder, 40)
    now = time.time()
    for path in (folder, folder / "pack.json", folder / "labels.i32"):
        os.utime(path, (now, path.stat().st_mtime))
    for _ in range(2):
        assert list_entries()[0].age_days() == pytest.approx(40, abs=0.01)


def test_an_archive_that_is_opened_again_is_used(tmp_path: Path) -> None:
    place = make(tmp_path / "a.tar.gz", FILES)
    read_archive(place)
    age(list_entries()[0].path, 40)
    assert list_entries()[0].age_days() == pytest.approx(40, abs=0.01)
    read_archive(place)
    assert list_entries()[0].age_days() == pytest.approx(0, abs=0.01)


# --- clearing ---------------------------------------------------------------------------------


def test_what_is_cleared_is_gone_and_the_rest_stays(tmp_path: Path, cache_dir: Path) -> None:
    first, second = made(tmp_path), made(tmp_path, image_size=6)
    put(cache_dir / "datasets" / "x.mat", 5)
    chosen = [entry for entry in list_entries() if entry.path == first.folder]
    assert remove_entries(chosen) == chosen
    assert not first.folder.exists()
    assert made(tmp_path, image_size=6).folder == second.folder
    assert set(kinds().values()) == {"pack", "download"}
    assert {path.name for path in (cache_dir / "packs").iterdir()} == {
        second.folder.name,
        f"{second.folder.name}.lock",
    }
    again = made(tmp_path)
    assert (again.folder, again.digest) == (first.folder, first.digest)


def test_clearing_all_leaves_no_trace(tmp_path: Path, cache_dir: Path) -> None:
    made(tmp_path)
    made(tmp_path, image_size=6)
    put(cache_dir / "packs" / ".partial-c" / "images.u8", 9)
    put(cache_dir / "archives" / "a.tar", 5)
    put(cache_dir / "digests" / "x.json", 5)
    assert len(remove_entries(list_entries())) == 4
    left = [path.relative_to(cache_dir) for path in cache_dir.rglob("*")]
    assert sorted(map(str, left)) == ["archives", "packs"]


def test_digests_stay_while_there_is_a_pack(tmp_path: Path, cache_dir: Path) -> None:
    made(tmp_path)
    digest = put(cache_dir / "digests" / "x.json", 5)
    put(cache_dir / "archives" / "a.tar", 5)
    remove_entries([entry for entry in list_entries() if entry.kind == "archive"])
    assert digest.exists()


def test_a_training_goes_on_reading(tmp_path: Path) -> None:
    packed = made(tmp_path)
    store = FileStore(packed.images_path, (3, 4, 4))
    before = store.read_all()
    remove_entries(list_entries())
    assert not packed.folder.exists()
    assert torch.equal(store.read(torch.tensor([5, 0, 3])), before[[5, 0, 3]])
    assert before[:, 0, 0, 0].tolist() == [0, 2, 4, 1, 3, 5]
    store.close()


def test_the_lock_of_a_pack_that_is_begun_stays(tmp_path: Path, cache_dir: Path) -> None:
    put(cache_dir / "packs" / ".partial-c" / "images.u8", 9)
    put(cache_dir / "packs" / "c.lock", 0)
    put(cache_dir / "packs" / "d.lock", 0)
    remove_entries([])
    assert sorted(path.name for path in (cache_dir / "packs").glob("*.lock")) == ["c.lock"]
    remove_entries(list_entries())
    assert list((cache_dir / "packs").iterdir()) == []


def test_what_another_process_makes_just_now_stays(tmp_path: Path, cache_dir: Path) -> None:
    pixels = put(cache_dir / "packs" / ".partial-c" / "images.u8", 9, days=3)
    lock = put(cache_dir / "packs" / "c.lock", 0)
    with holding(lock):
        assert remove_entries(list_entries()) == []
        assert pixels.exists()
        assert lock.exists()
    assert len(remove_entries(list_entries())) == 1
    assert not lock.exists()


def test_a_lock_that_is_held_stays_though_nothing_is_there_yet(cache_dir: Path) -> None:
    """Or two processes would hold it, and make the same pack in the same folder."""
    lock = put(cache_dir / "packs" / "c.lock", 0)
    with holding(lock):
        remove_entries([])
        assert lock.exists()
    remove_entries([])
    assert not lock.exists()


def test_an_archive_that_is_being_unpacked_stays(cache_dir: Path) -> None:
    young = put(cache_dir / "archives" / ".partial-1-a.tar", 9)
    old = put(cache_dir / "archives" / ".partial-2-b.tar", 9, days=0.01)
    assert [entry.path for entry in remove_entries(list_entries())] == [old]
    assert young.exists()
    assert not old.exists()


def test_the_same_entry_twice_is_no_error(cache_dir: Path) -> None:
    put(cache_dir / "archives" / "a.tar", 9)
    assert len(remove_entries(list_entries() * 2)) == 2


def test_an_entry_that_cannot_be_removed(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    put(cache_dir / "archives" / "a.tar", 9)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DatasetError, match=r"a\.tar cannot be written: Permission denied"):
        remove_entries(list_entries())


def test_a_clearing_that_was_cut_off_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack is out of the way at once, never half of it under its name."""
    packed = made(tmp_path)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("shutil.rmtree", killed)
        remove_entries(list_entries())
    assert not packed.folder.exists()
    assert list(kinds().values()) == ["partial"]
    assert len(remove_entries(list_entries())) == 1
    assert list_entries() == []


# --- where it is ------------------------------------------------------------------------------


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IDDM_CACHE_DIR", "~/here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.setenv("IDDM_CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert tmp_path in cache_folder().parents
    monkeypatch.setenv("IDDM_CACHE_DIR", "~nobody-of-that-name/here")
    with pytest.raises(DatasetError, match="IDDM_CACHE_DIR is ~nobody"):
        cache_folder()


def test_entries_are_plain_facts(cache_dir: Path) -> None:
    put(cache_dir / "archives" / "a.tar", 9, days=2)
    (entry,) = list_entries()
    assert isinstance(entry, CacheEntry)
    assert (entry.kind, entry.bytes, entry.key) == ("archive", 9, "a.tar")
    assert entry.age_days() == pytest.approx(2, abs=0.01)


# --- selecting entries -------------------------------------------------------------------------


def test_entries_are_selected_by_key_age_and_kind(cache_dir: Path) -> None:
    for name, days in (("archives/" + "a" * 64 + ".tar", 40), ("datasets/set.tar.gz", 10)):
        path = cache_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        then = time.time() - days * cache.DAY_SECONDS
        os.utime(path, (then, then))

    def selected(*keys: str, downloads: bool = False, older_than: int | None = None) -> list[str]:
        entries = select_entries(list(keys), downloads=downloads, older_than=older_than)
        return sorted(entry.key for entry in entries)

    archive = "a" * 12
    assert selected() == [archive]
    assert selected(downloads=True) == [archive, "set.tar.gz"]
    assert selected("set.tar.gz", "set.tar.gz") == ["set.tar.gz"]
    assert selected("a" * 64 + ".tar", archive) == [archive]
    assert selected(downloads=True, older_than=30) == [archive]
    assert selected(archive, older_than=50) == []
    with pytest.raises(UsageError, match="the cache has no entry nonsense"):
        selected(archive, "nonsense")


def test_results_of_evaluations_are_listed_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    folders = {
        room: cache.describe_entry(room, room * 2, "the run first")
        for room in cache.EVALUATION_ROOMS
    }
    entries = {entry.kind: entry for entry in list_entries()}
    assert {kind: entry.path for kind, entry in entries.items()} == folders
    assert cache.read_origin(folders["generated"]) == "the run first"
    with cache.hold_entry(folders["features"]):  # as a process that trains a feature network
        removed = remove_entries(entries.values())
    assert {entry.kind for entry in removed} == {"generated", "classifiers"}
    assert [path.exists() for path in folders.values()] == [False, True, False]
