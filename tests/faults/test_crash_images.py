"""A power cut at any moment: whatever it leaves, nothing acknowledged is lost.

Each protocol is recorded once; then every image that a power cut may leave is put on a disk and
read. That the test can fail is tested too: without any one of the flushes it finds losses.
"""

import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from tests.faults.disks import Call, Lacking, Recorder, Unsynced, found, litter, save
from tests.faults.images import Image, crash_images, put

MOST = int(os.environ.get("IDDM_TEST_IMAGES", "300"))
"""How many images of each protocol are tried; where there are more, some of them by chance."""

Protocol = Callable[[CheckpointFolder, Recorder], None]


def four_saves(folder: CheckpointFolder, disk: Recorder) -> None:
    disk.allow(None, (1, 0))
    for step in (1, 2, 3, 4):
        save(folder, step)
        disk.allow((step, 0), (step + 1, 0))


def two_saves(folder: CheckpointFolder, disk: Recorder) -> None:
    disk.allow(None, (1, 0))
    save(folder, 1)
    disk.allow((1, 0), (2, 0))
    save(folder, 2)
    disk.allow((2, 0))


def a_save_over_a_damaged_one(folder: CheckpointFolder, disk: Recorder) -> None:
    two_saves(folder, disk)
    disk.allow((2, 0), (1, 0))
    disk.damage(folder.path / "step-00000002" / "model.safetensors", b"damaged")
    disk.allow((1, 0), (2, 1))
    save(folder, 2, course=1)
    disk.allow((2, 1))


def a_course_given_up(folder: CheckpointFolder, disk: Recorder) -> None:
    two_saves(folder, disk)
    disk.allow((2, 0), (1, 0))
    folder.remove_after(1)
    disk.allow((1, 0), (2, 1))
    save(folder, 2, course=1)
    disk.allow((2, 1))


PROTOCOLS = (four_saves, a_save_over_a_damaged_one, a_course_given_up)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Return a folder for recordings, where nothing waits for the real disk."""
    monkeypatch.setattr(durable, "disk", Unsynced())
    return tmp_path / "run"


def recorded(place: Path, protocol: Protocol, *lacks: str) -> list[Call]:
    place.mkdir()
    before, durable.disk = durable.disk, Lacking(*lacks)
    protocol(CheckpointFolder(place / "checkpoints", Retention(2)), durable.disk)
    calls, durable.disk = durable.disk.calls, before
    return calls


def some(images: list) -> list:
    return images if len(images) <= MOST else random.Random(1).sample(images, MOST)


def after(image: Image, place: Path) -> CheckpointFolder:
    shutil.rmtree(place)
    put(image, place)
    return CheckpointFolder(place / "checkpoints", Retention(2))


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_nothing_acknowledged_is_lost(place, protocol):
    images = list(crash_images(place, recorded(place, protocol)))
    print(f"{protocol.__name__}: {len(images)} images")
    for image, allowed in some(images):
        folder = after(image, place)
        assert found(folder) in allowed
        save(folder, 9, course=9)
        assert found(folder) == (9, 9)
        assert not litter(place)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_nothing_is_lost_where_folders_cannot_be_renamed(place, protocol):
    images = crash_images(place, recorded(place, protocol, "rename_folder"))
    images = random.Random(1).sample(list(itertools.islice(images, 10 * MOST)), MOST // 3)
    for image, allowed in images:
        folder = after(image, place)
        assert found(folder) in allowed
        save(folder, 9, course=9)
        assert found(folder) == (9, 9)
        assert not litter(place)


def without(call: str, folder: str) -> Callable[[Call], bool]:
    return lambda made: made.name == call and folder in str(made.path)


FLUSHES = {
    "the bytes": without("flush", ""),
    "the names in a checkpoint": without("flush_folder", "/.partial"),
    "the names of checkpoints": without("flush_folder", "checkpoints"),
    "the name of their folder": lambda made: (
        made.name == "flush_folder" and made.path.name == "run"
    ),
}


@pytest.mark.parametrize("flush", FLUSHES)
def test_without_one_of_the_flushes_something_is_lost(place, flush):
    calls = [made for made in recorded(place, two_saves) if not FLUSHES[flush](made)]
    images = some(list(itertools.islice(crash_images(place, calls), 100 * MOST)))
    lost = sum(found(after(image, place)) not in allowed for image, allowed in images)
    print(f"without flushing {flush}: {lost} of {len(images)} images lose something")
    assert lost


@pytest.mark.parametrize("lacks", ["", "replace"])
def test_a_file_is_the_old_or_the_new_and_the_new_once_that_was_said(tmp_path, monkeypatch, lacks):
    path, place = tmp_path / "run" / "run.json", tmp_path / "image"
    path.parent.mkdir()
    disk = Lacking(lacks)
    monkeypatch.setattr(durable, "disk", disk)
    disk.allow(None, b"old")
    durable.write_file(path, b"old")
    disk.allow(b"old", b"new")
    durable.write_file(path, b"new")
    disk.allow(b"new")
    for image, allowed in crash_images(path.parent, disk.calls):
        put(image, place)
        found = durable.find(place / "run.json")
        assert (found.read_bytes() if found.exists() else None) in allowed
        shutil.rmtree(place)


def test_a_folder_whose_files_are_moved_one_by_one_is_whole_or_marked(tmp_path, monkeypatch):
    path, place = tmp_path / "run" / "pack", tmp_path / "image"
    path.parent.mkdir()
    disk = Lacking("rename_folder")
    monkeypatch.setattr(durable, "disk", disk)
    whole = {"a": b"1", "b": b"2"}
    durable.write_folder(path, whole.items())
    durable.remove_folder(path)
    for image, _ in crash_images(path.parent, disk.calls):
        put(image, place)
        folder = place / "pack"
        names = [file.name for file in folder.iterdir()] if folder.exists() else []
        if names and durable.is_complete(folder):
            assert {name: (folder / name).read_bytes() for name in names} == whole
        shutil.rmtree(place)
