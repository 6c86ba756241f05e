"""The packs in the cache: whole or not there, whoever else writes, is killed, or fills the disk."""

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

SETTINGS = DataSettings(image_size=[8, 12], channels=3, workers=2, held_out=0)


def packs(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "packs").iterdir() if path.is_dir())


def no_decoding(what: str, done: int, total: int) -> None:
    assert what == "checking files"


def reading(calls: list[int]) -> object:
    """A progress that notes after how many images each call came."""
    return lambda what, done, _: calls.append(done) if what == "reading images" else None


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "images.u8", 1000),
        lambda folder: (folder / "images.u8").unlink(),
        lambda folder: (folder / "pack.json").unlink(),
        lambda folder: os.truncate(folder / "pack.json", 100),
        lambda folder: (folder / "pack.json").write_text("[]"),
        lambda folder: edit(folder / "pack.json", count=79),
        lambda folder: edit(folder / "pack.json", extra=1),
        lambda folder: os.truncate(folder / "labels.i32", 100),
        lambda folder: (folder / "labels.i32").write_bytes(b"\2\0\0\0" * 80),
        lambda folder: (folder / "labels.i32").write_bytes(b"\xff" * 320),
        lambda folder: (folder / "names.txt").unlink(),
    ],
)
def test_a_damaged_pack_is_made_anew(pets: Path, cache_dir: Path, damage: object) -> None:
    first = build_pack(FolderSource(pets), SETTINGS)
    content = first.images_path.read_bytes()
    damage(first.folder)
    again = build_pack(FolderSource(pets), SETTINGS)
    assert (again.record, again.digest) == (first.record, first.digest)
    assert again.images_path.read_bytes() == content
    assert packs(cache_dir) == [first.folder.name]


def test_a_cache_that_cannot_be_written(pets: Path, cache_dir: Path) -> None:
    cache_dir.write_text("a file is in the way")
    with pytest.raises(DatasetError, match="cannot be written") as caught:
        build_pack(FolderSource(pets), SETTINGS)
    assert "IDDM_CACHE_DIR" in caught.value.hint


def test_a_full_disk(pets: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("iddm_cli.durable.fsync_file", full)
        with pytest.raises(DatasetError, match="No space left on device") as caught:
            build_pack(FolderSource(pets), SETTINGS)
        assert "IDDM_CACHE_DIR" in caught.value.hint
    assert build_pack(FolderSource(pets), SETTINGS).count == 80


def test_leftovers_of_long_ago_are_swept(pets: Path, cache_dir: Path) -> None:
    old, new = cache_dir / "packs" / ".partial-old", cache_dir / "packs" / ".partial-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "images.u8").write_bytes(b"x")
    a_month_ago = time.time() - 30 * 86_400
    for path in (old / "images.u8", old):
        os.utime(path, (a_month_ago, a_month_ago))
    made = build_pack(FolderSource(pets), SETTINGS)
    assert packs(cache_dir) == [".partial-new", made.folder.name]


# --- cut off in the middle -------------------------------------------------------------------


class CutError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def cut(pets: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack of 80 images that was cut off after some; its folder."""
    monkeypatch.setattr("iddm_cli.data.packs.builder.MAX_CHUNK", 8)
    (pets / "cat" / "03.png").write_text("broken")

    def progress(what: str, done: int, _: int) -> None:
        if what == "reading images" and done == 40:
            raise CutError

    with pytest.raises(CutError):
        build_pack(FolderSource(pets), SETTINGS, progress=progress)
    (left,) = packs(cache_dir)
    assert left.startswith(".partial-")
    return cache_dir / "packs" / left


def build_uninterrupted(pets: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(cache_dir.parent / "other-cache"))
    return build_pack(FolderSource(pets), SETTINGS)


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda part: None, 40),
        (lambda part: os.truncate(part / "images.u8", 8 * 12 * 3 * 33), 32),
        (lambda part: part.joinpath("images.u8").open("ab").write(b"\7" * 1000), 40),
        (lambda part: flip(part / "images.u8", 8 * 12 * 3 * 20), 16),
        (lambda part: part.joinpath("journal.jsonl").open("ab").write(b'[["ab'), 40),
        (lambda part: part.joinpath("journal.jsonl").open("ab").write(b'[[1, 2]]\n"x"\n'), 40),
        (lambda part: part.joinpath("journal.jsonl").unlink(), 0),
        (lambda part: part.joinpath("images.u8").unlink(), 0),
    ],
)
def test_an_interrupted_build_resumes_where_it_stopped(
    pets: Path,
    cache_dir: Path,
    cut: Path,
    damage: object,
    kept: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damage(cut)
    calls: list[int] = []
    made = build_pack(FolderSource(pets), SETTINGS, progress=reading(calls))
    assert calls == list(range(kept + 8, 81, 8))
    assert packs(cache_dir) == [made.folder.name]
    whole = build_uninterrupted(pets, cache_dir, monkeypatch)
    assert (made.record, made.digest, made.names) == (whole.record, whole.digest, whole.names)
    assert made.images_path.read_bytes() == whole.images_path.read_bytes()
    assert (made.labels == whole.labels).all()


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


PACK = """
import sys, time
from pathlib import Path
from iddm_cli.data.packs import builder
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings

def progress(what, done, total):
    if what == "reading images" and done == 40:
        print("in the middle", flush=True)
        time.sleep(60)

if __name__ == "__main__":
    builder.MAX_CHUNK = 8
    settings = DataSettings(image_size=[8, 12], channels=3, workers=2, held_out=0)
    builder.build_pack(FolderSource(Path(sys.argv[1])), settings, progress=progress)
"""


def begin_to_pack(pets: Path, script: Path) -> subprocess.Popen:
    script.write_text(PACK)
    process = subprocess.Popen([sys.executable, str(script), str(pets)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"in the middle\n"
    return process


def test_a_kill_loses_nothing_and_leaves_no_process(
    pets: Path, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begin_to_pack(pets, tmp_path / "pack.py") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert len(family) >= 2
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    calls: list[int] = []
    made = build_pack(FolderSource(pets), SETTINGS, progress=reading(calls))
    assert calls[0] > 40
    assert made.digest == build_uninterrupted(pets, cache_dir, monkeypatch).digest


# --- several at once -------------------------------------------------------------------------


def test_the_second_waits_for_the_first_and_takes_over_if_it_dies(
    pets: Path, tmp_path: Path
) -> None:
    calls: list[str] = []

    def progress(what: str, done: int, total: int) -> None:
        calls.append(what)
        if what.startswith("waiting"):
            process.send_signal(signal.SIGKILL)

    with begin_to_pack(pets, tmp_path / "pack.py") as process:
        made = build_pack(FolderSource(pets), SETTINGS, progress=progress)
    assert made.count == 80
    assert any(what.startswith("waiting for another process") for what in calls)


def test_many_threads_at_once(pets: Path, cache_dir: Path) -> None:
    made: list[Pack] = []
    gate = threading.Barrier(4)

    def work() -> None:
        source = FolderSource(pets)
        gate.wait()
        made.append(build_pack(source, SETTINGS))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.digest for one in made] == [made[0].digest] * 4
    assert packs(cache_dir) == [made[0].folder.name]


def pack_into(pets: Path, queue: object) -> None:
    calls: list[int] = []
    made = build_pack(FolderSource(pets), SETTINGS, progress=reading(calls))
    queue.put((made.digest, hashlib.sha256(made.images_path.read_bytes()).hexdigest(), len(calls)))


def test_two_processes_at_once_decode_once(pets: Path, cache_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=pack_into, args=(pets, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert results[0][:2] == results[1][:2]
    assert min(result[2] for result in results) == 0
    assert len(packs(cache_dir)) == 1
