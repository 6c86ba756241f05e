"""The packs in the cache: whole or not there, whoever else writes, is killed, or fills the disk."""

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from iddm_cli.data.index import index_folder
from iddm_cli.data.packing import Pack, pack
from iddm_cli.data.sources import FolderSource
from iddm_cli.errors import DatasetError
from iddm_cli.settings import DataSettings

SETTINGS = DataSettings(image_size=[8, 12], workers=2)


def folder_source(root: Path) -> FolderSource:
    return FolderSource(index_folder(root))


def packs(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "packs").iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "images.u8", 1000),
        lambda folder: (folder / "images.u8").unlink(),
        lambda folder: (folder / "pack.json").unlink(),
        lambda folder: os.truncate(folder / "pack.json", 100),
        lambda folder: (folder / "pack.json").write_text("[]"),
        lambda folder: edit(folder / "pack.json", labels=[0]),
        lambda folder: edit(folder / "pack.json", count=79),
        lambda folder: edit(folder / "pack.json", extra=1),
        lambda folder: edit(folder / "pack.json", labels=[2] * 80),
        lambda folder: edit(folder / "pack.json", labels=[-1] * 80),
    ],
)
def test_a_damaged_pack_is_made_anew(pets: Path, cache_dir: Path, damage: object) -> None:
    first = pack(folder_source(pets), SETTINGS)
    content = first.images_path.read_bytes()
    damage(first.folder)
    again = pack(folder_source(pets), SETTINGS)
    assert again == first
    assert again.images_path.read_bytes() == content
    assert packs(cache_dir) == [first.folder.name]


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_cache_that_cannot_be_written(pets: Path, cache_dir: Path) -> None:
    cache_dir.write_text("a file is in the way")
    with pytest.raises(DatasetError, match="cannot be written") as caught:
        pack(folder_source(pets), SETTINGS)
    assert "IDDM_CACHE_DIR" in caught.value.hint


def test_a_full_disk(pets: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("iddm_cli.durable.fsync_file", full)
        with pytest.raises(DatasetError, match="No space left on device") as caught:
            pack(folder_source(pets), SETTINGS)
        assert "IDDM_CACHE_DIR" in caught.value.hint
        assert packs(cache_dir) == []
    usage = shutil.disk_usage(cache_dir)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DatasetError, match=r"needs 0\.00 GB .* 0\.00 GB are free"):
        pack(folder_source(pets), SETTINGS, progress=lambda *_: pytest.fail("was begun"))


def test_leftovers_of_long_ago_are_swept(pets: Path, cache_dir: Path) -> None:
    old, new = cache_dir / "packs" / ".partial-1-old", cache_dir / "packs" / ".partial-1-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "images.u8").write_bytes(b"x")
    two_days_ago = time.time() - 2 * 86_400
    for path in (old / "images.u8", old):
        os.utime(path, (two_days_ago, two_days_ago))
    made = pack(folder_source(pets), SETTINGS)
    assert packs(cache_dir) == [".partial-1-new", made.folder.name]


PACK = """
import sys, time
from pathlib import Path
from iddm_cli.data.index import index_folder
from iddm_cli.data.packing import pack
from iddm_cli.data.sources import FolderSource
from iddm_cli.settings import DataSettings

class Slow(FolderSource):
    def image(self, i):
        if i == 70:
            print("in the middle", flush=True)
            time.sleep(60)
        return super().image(i)

settings = DataSettings(image_size=[8, 12], workers=1)
pack(Slow(index_folder(Path(sys.argv[1]))), settings)
"""


def test_a_kill_in_the_middle_leaves_no_pack(pets: Path, cache_dir: Path) -> None:
    command = [sys.executable, "-c", PACK, str(pets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    left = packs(cache_dir)
    assert len(left) == 1
    assert left[0].startswith(".partial-")
    made = pack(folder_source(pets), SETTINGS)
    assert made.count == 80
    assert made.folder.name not in left


def test_an_interrupt_leaves_nothing(pets: Path, cache_dir: Path) -> None:
    def interrupt(_: int, __: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(folder_source(pets), SETTINGS, progress=interrupt)
    assert packs(cache_dir) == []


def test_many_threads_at_once(pets: Path, cache_dir: Path) -> None:
    made: list[Pack] = []
    gate = threading.Barrier(4)

    def work() -> None:
        source = folder_source(pets)
        gate.wait()
        made.append(pack(source, SETTINGS))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [made[0]] * 4
    assert packs(cache_dir) == [made[0].folder.name]


def pack_into(pets: Path, queue: object) -> None:
    made = pack(folder_source(pets), SETTINGS)
    queue.put((made.digest, hashlib.sha256(made.images_path.read_bytes()).hexdigest()))


def test_two_processes_at_once(pets: Path, cache_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=pack_into, args=(pets, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert results[0] == results[1]
    assert len(packs(cache_dir)) == 1


def test_the_one_that_comes_second_uses_what_the_first_made(pets: Path, cache_dir: Path) -> None:
    """The other one begins after this one has looked, and is done before this one is."""

    def overtaken(_: int, __: int) -> None:
        others.append(pack(folder_source(pets), SETTINGS))

    others: list[Pack] = []
    made = pack(folder_source(pets), SETTINGS, progress=overtaken)
    assert made == others[0]
    assert packs(cache_dir) == [made.folder.name]
