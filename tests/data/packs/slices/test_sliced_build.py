"""Packs in several files: the pack of one file, whoever builds which slice."""

import multiprocessing
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.data.loader.stores import FileStore
from iddm_cli.data.packs import builder, store
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.packs.slices import slice_source
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.storage import claims, file_locks

SLICE = 3 * 64 * 25
"""Bytes of 25 images in colour: the 80 images of `pets` make 4 slices."""


def settings(**changes: object) -> DataSettings:
    values: dict[str, object] = {"image_size": 8, "workers": 1, "held_out": 0, **changes}
    return DataSettings.model_validate(values)


def build(folder: Path, **changes: object) -> Pack:
    return build_pack(open_source(str(folder), size=(8, 8)), settings(**changes))


def read_all(pack: Pack) -> torch.Tensor:
    return FileStore(pack.images_paths, (pack.channels, 8, 8)).read_all()


def facts(pack: Pack) -> tuple[object, ...]:
    record = pack.record.model_copy(update={"slices": ()})
    names = tuple(pack.names)
    return (pack.digest, record, names, pack.labels.tolist(), read_all(pack).numpy().tobytes())


@pytest.fixture
def sliced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slice_source, "SLICE_BYTES", SLICE)


def make_grey(folder: Path) -> Path:
    for path in folder.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    return folder


@pytest.mark.parametrize(
    ("grey", "channels", "files"),
    [(False, "auto", 4), (True, "auto", 4), (False, 3, 4), (False, 1, 2), (True, 3, 4)],
)
def test_the_pack_is_that_of_one_file(
    pets: Path, cache_dir: Path, monkeypatch, grey: bool, channels: object, files: int
) -> None:
    if grey:
        make_grey(pets)
    (pets / "cat" / "30.png").write_text("broken")
    whole = build(pets, channels=channels)
    expected = facts(whole)
    shutil.rmtree(cache_dir)
    monkeypatch.setattr(slice_source, "SLICE_BYTES", SLICE)
    pack = build(pets, channels=channels)
    assert facts(pack) == expected
    assert (len(whole.images_paths), len(pack.images_paths)) == (1, files)
    assert pack.channels == (1 if channels == 1 or (grey and channels == "auto") else 3)
    again = build(pets, channels=channels)
    assert again.images_paths == pack.images_paths
    left = [path for path in (cache_dir / "packs").iterdir() if path.suffix != ".lock"]
    assert left == [pack.folder]
    assert len(list((pack.folder / store.SLICES).iterdir())) == files


def test_one_slice_in_colour_among_grey_ones(pets: Path, cache_dir: Path, monkeypatch) -> None:
    make_grey(pets)
    Image.new("RGB", (8, 8), "red").save(pets / "dog" / "70.png")
    expected = facts(build(pets))
    shutil.rmtree(cache_dir)
    monkeypatch.setattr(slice_source, "SLICE_BYTES", SLICE)
    assert facts(build(pets)) == expected


def test_deep_values_in_a_late_slice(pets: Path, cache_dir: Path, monkeypatch) -> None:
    make_grey(pets)
    for number in range(26, 80):
        path = pets / ("cat" if number < 40 else "dog") / f"{number}.png"
        Image.fromarray(np.full((8, 8), 500 * number, np.uint16)).save(path)
    expected = build(pets)
    shutil.rmtree(cache_dir)
    monkeypatch.setattr(slice_source, "SLICE_BYTES", SLICE)
    pack = build(pets)
    assert expected.value_notes == pack.value_notes != ()
    assert (pack.digest, pack.record.values) == (expected.digest, expected.record.values)
    assert len(pack.images_paths) > 1


def test_rows_across_files(pets: Path, sliced: None) -> None:
    pack = build(pets)
    pixels = read_all(pack)
    rows = torch.tensor([79, 0, 24, 25, 26, 50, 3])
    chosen = FileStore(pack.images_paths, (3, 8, 8), rows=rows)
    assert torch.equal(chosen.read(torch.arange(7)), pixels[rows])
    assert len(chosen) == 7


def test_slices_that_are_not_stored(pets: Path, cache_dir: Path, monkeypatch) -> None:
    expected = build(pets, cache="off").digest
    shutil.rmtree(cache_dir)
    monkeypatch.setattr(slice_source, "SLICE_BYTES", SLICE)
    pack = build(pets, cache="off")
    assert (pack.digest, pack.record.stored) == (expected, False)


def test_an_unreadable_image_may_be_an_error(pets: Path, sliced: None) -> None:
    (pets / "dog" / "70.png").write_text("broken")
    with pytest.raises(DatasetError, match=r"dog/70\.png cannot be decoded"):
        build(pets, on_error="fail")


def test_what_is_built_already_is_kept(pets: Path, sliced: None, monkeypatch) -> None:
    class StoppedError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        assert stage != "reading images" or total == 80
        if stage == "reading images" and done > 55:
            raise StoppedError

    source = open_source(str(pets), size=(8, 8))
    with pytest.raises(StoppedError):
        build_pack(source, settings(), progress=stop)
    read: list[int] = []
    image = type(source).image
    monkeypatch.setattr(type(source), "image", lambda s, i: read.append(i) or image(s, i))
    build(pets)
    assert min(read) >= 50 and len(read) < 35


def _build_in_process(folder: Path, cache: Path, size: int, answers) -> None:
    # The server that forks may be older than this test, and have another test's environment.
    os.environ["IDDM_CACHE_DIR"] = str(cache)
    slice_source.SLICE_BYTES = size
    built: list[int] = []
    source = open_source(str(folder), size=(8, 8))
    pack = build_pack(
        source, settings(), progress=lambda stage, done, _: built.append(done)
        if stage == "reading images" else None,
    )  # fmt: skip
    content = b"".join(path.read_bytes() for path in pack.images_paths)
    answers.put((pack.digest, content, len(built)))


def test_several_processes_divide_the_slices(pets: Path, cache_dir: Path) -> None:
    expected = build(pets)
    content = expected.images_path.read_bytes()
    shutil.rmtree(cache_dir)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["iddm_cli.data.packs.builder"])
    answers = context.Queue()
    size = 3 * 64 * 10
    processes = [
        context.Process(target=_build_in_process, args=(pets, cache_dir, size, answers))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert {digest for digest, _, _ in found} == {expected.digest}
    assert all(one == content for _, one, _ in found)
    # Each of the 8 slices was read by one process: reading twice would report more.
    assert sum(count for _, _, count in found) == 8


def _build_and_die(folder: Path, cache: Path, has_locks: bool) -> None:
    """Build slices of 20 images, and lose power when 8 of the second one are stored."""
    os.environ["IDDM_CACHE_DIR"] = str(cache)
    socket.gethostname = lambda: "dies"
    if not has_locks:
        file_locks._lock_file = lambda *_: False
    slice_source.SLICE_BYTES = 3 * 64 * 20
    builder.MAX_CHUNK = 8

    def die(stage: str, done: int, _total: int) -> None:
        if stage == "reading images" and done == 28:
            os.kill(os.getpid(), signal.SIGKILL)

    build_pack(open_source(str(folder), size=(8, 8)), settings(), progress=die)


@pytest.mark.parametrize("has_locks", [True, False])
def test_another_machine_continues_where_one_has_died(
    pets: Path, cache_dir: Path, monkeypatch, has_locks: bool
) -> None:
    expected = facts(build(pets))
    shutil.rmtree(cache_dir)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["iddm_cli.data.packs.builder"])
    dies = context.Process(target=_build_and_die, args=(pets, cache_dir, has_locks))
    dies.start()
    dies.join()
    assert dies.exitcode == -signal.SIGKILL
    claimed = list(cache_dir.rglob("*.claim-*"))
    assert len(claimed) == (0 if has_locks else 2), "of the slice, and of its pack"
    for claim in claimed:  # which nobody has refreshed for a while
        os.utime(claim, (0, time.time() - claims.STALE_SECONDS - 1))
    monkeypatch.setattr(socket, "gethostname", lambda: "lives")
    if not has_locks:
        monkeypatch.setattr(file_locks, "_lock_file", lambda *_: False)
    monkeypatch.setattr(slice_source, "SLICE_BYTES", 3 * 64 * 20)
    source = open_source(str(pets), size=(8, 8))
    read: list[int] = []
    image = type(source).image
    monkeypatch.setattr(type(source), "image", lambda s, i: read.append(i) or image(s, i))
    assert facts(build_pack(source, settings())) == expected
    assert read == list(range(28, 80)), "what the other one has stored is not decoded again"
