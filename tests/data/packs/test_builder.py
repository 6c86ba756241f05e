"""Packing: pixels in order, packs used again, and what happens when things go wrong."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import decode_image_file, digest_bytes
from iddm_cli.data.decoding.resize import to_pixels
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.data.packs import builder
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.registry import open_source
from iddm_cli.errors import DatasetError
from iddm_cli.profiles.settings import DataSettings

FASHION = Path(__file__).parents[4] / "shared/data/fashion-mnist-small/train"
SETTINGS = DataSettings(image_size=[8, 12], channels=3, workers=2, held_out=0)


def folder_source(pets: Path) -> FolderSource:
    return FolderSource(pets)


def changed(**values: object) -> DataSettings:
    return DataSettings(**{**SETTINGS.model_dump(), **values})


def pixels(made: Pack) -> np.ndarray:
    shape = (made.count, made.channels, made.height, made.width)
    return np.memmap(made.images_path, dtype=np.uint8, mode="r", shape=shape)


def packs(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "packs").iterdir() if path.is_dir())


def no_decoding(what: str, done: int, total: int) -> None:
    assert what == "checking files"


# --- what is packed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"channels": 1, "aspect": "pad", "background": "grey"},
        {"aspect": "squash", "background": "black", "workers": 0},
        {"image_size": 700, "workers": 1},  # so large that each chunk is two images
    ],
)
def test_pixels_are_those_of_each_file_in_order(pets: Path, values: dict[str, object]) -> None:
    settings, source = changed(**values), folder_source(pets)
    made = build_pack(source, settings)
    assert (made.count, made.height, made.width) == (80, *settings.size)
    assert made.names == [source.item_name(i) for i in range(80)]
    assert made.labels.tolist() == [0] * 40 + [1] * 40
    assert made.classes == ("cat", "dog")
    assert made.unreadable == []
    look = {key: getattr(settings, key) for key in ("size", "channels", "aspect", "background")}
    for planes, name in zip(pixels(made), made.names, strict=True):
        assert (
            planes.transpose(1, 2, 0) == to_pixels(decode_image_file(pets / name).image, **look)
        ).all()


def test_digest_is_of_pixels_labels_and_classes(pets: Path) -> None:
    made = build_pack(folder_source(pets), SETTINGS)
    digests = {made.digest}
    record = json.loads((made.folder / "pack.json").read_text())
    each = "".join(digest_bytes(planes.tobytes()) for planes in pixels(made))
    assert record["pixels"] == hashlib.sha256(each.encode()).hexdigest()
    digests.add(build_pack(folder_source(pets), changed(conditional=False)).digest)
    digests.add(build_pack(folder_source(pets), changed(background="black")).digest)
    (pets / "dog" / "40.png").rename(pets / "cat" / "40.png")
    digests.add(build_pack(folder_source(pets), SETTINGS).digest)
    (pets / "cat").rename(pets / "bat")
    digests.add(build_pack(folder_source(pets), SETTINGS).digest)
    assert len(digests) == 5
    shutil.rmtree(made.folder.parent)
    (pets / "bat").rename(pets / "cat")
    (pets / "cat" / "40.png").rename(pets / "dog" / "40.png")
    assert build_pack(folder_source(pets), SETTINGS).digest == made.digest


def test_progress_rises_to_the_end(pets: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    build_pack(folder_source(pets), SETTINGS, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls)
    assert calls[-1] == ("reading images", 80, 80)
    assert {(what, total) for what, _, total in calls} == {
        ("checking files", 80),
        ("reading images", 80),
    }


def test_the_dataset_is_not_touched(pets: Path) -> None:
    def state() -> list[tuple[str, int, int, bytes]]:
        files = sorted(pets.rglob("*"))
        facts = [(file, file.stat()) for file in files]
        return [
            (str(f), s.st_mtime_ns, s.st_mode, f.read_bytes() if f.is_file() else b"")
            for f, s in facts
        ]

    before = state(), pets.stat().st_mtime_ns
    build_pack(folder_source(pets), SETTINGS)
    assert (state(), pets.stat().st_mtime_ns) == before


def test_classes_are_dropped_or_demanded(pets: Path) -> None:
    made = build_pack(folder_source(pets), changed(conditional=False))
    assert (made.classes, made.labels.tolist()) == ((), [0] * 80)
    assert build_pack(folder_source(pets), changed(conditional=True)).classes == ("cat", "dog")
    flat = folder_source(pets / "cat")
    made = build_pack(flat, SETTINGS)
    assert (made.classes, made.labels.tolist()) == ((), [0] * 40)
    with pytest.raises(DatasetError, match=r"no classes, but data\.conditional is true"):
        build_pack(flat, changed(conditional=True))
    for source, settings in ((flat, {}), (folder_source(pets), {"conditional": False})):
        with pytest.raises(DatasetError, match=r"data\.balance is 0\.5, but no classes"):
            build_pack(source, changed(balance=0.5, **settings))


def test_demo() -> None:
    source = open_source("demo", size=(8, 8))
    made = build_pack(source, changed(image_size=8, channels=1))
    assert made.count == 3000
    assert (pixels(made)[777, 0] == np.asarray(source.image(777).open().image)).all()


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the data beside the repository")
def test_fashion_mnist() -> None:
    made = build_pack(folder_source(FASHION), changed(image_size=28, channels=1))
    assert (made.count, made.unreadable) == (2000, [])
    assert np.bincount(made.labels).tolist() == [200] * 10
    assert made.classes[0] == "0_t-shirt_top"
    for i in range(0, 2000, 97):
        assert (pixels(made)[i, 0] == np.asarray(Image.open(FASHION / made.names[i]))).all()


# --- used again ------------------------------------------------------------------------------


def test_a_pack_is_used_again(pets: Path, cache_dir: Path) -> None:
    first = build_pack(folder_source(pets), SETTINGS)
    before = first.images_path.stat().st_mtime_ns
    again = build_pack(folder_source(pets), SETTINGS, progress=no_decoding)
    assert (again.record, again.digest) == (first.record, first.digest)
    assert first.images_path.stat().st_mtime_ns == before
    others = changed(workers=1, horizontal_flip=True, conditional=False)
    assert build_pack(folder_source(pets), others).folder == first.folder
    assert len(packs(cache_dir)) == 1


def test_what_changes_the_pixels_makes_another_pack(pets: Path) -> None:
    variants = ({}, {"image_size": 8}, {"channels": 1}, {"aspect": "pad"}, {"background": "grey"})
    folders = {build_pack(folder_source(pets), changed(**values)).folder for values in variants}
    Image.new("L", (3, 3), 9).save(pets / "cat" / "05.png")
    made = build_pack(folder_source(pets), SETTINGS)
    assert len(folders | {made.folder}) == 6
    assert (pixels(made)[5] == 9).all()


# --- images that cannot be decoded ---------------------------------------------------------


def test_unreadable_images_are_skipped_and_reported(pets: Path) -> None:
    (pets / "cat" / "03.png").write_text("broken")
    os.truncate(pets / "dog" / "79.png", 60)
    made = build_pack(folder_source(pets), SETTINGS)
    assert made.count == len(made.names) == 78
    assert made.labels.tolist() == [0] * 39 + [1] * 39
    assert [name for name, _ in made.unreadable] == ["cat/03.png", "dog/79.png"]
    assert made.unreadable[0][1].startswith("not an image")
    assert "cat/03.png" not in made.names
    whole = to_pixels(
        decode_image_file(pets / "cat/04.png").image,
        size=(8, 12),
        channels=3,
        aspect="crop",
        background="white",
    )
    assert (pixels(made)[3].transpose(1, 2, 0) == whole).all()
    assert build_pack(folder_source(pets), SETTINGS, progress=no_decoding).record == made.record


def test_unreadable_images_may_be_fatal(pets: Path, cache_dir: Path) -> None:
    (pets / "cat" / "03.png").write_text("broken")
    message = r"cat/03\.png cannot be decoded: not an image"
    with pytest.raises(DatasetError, match=message) as caught:
        build_pack(folder_source(pets), changed(on_error="fail"))
    assert "data.on_error" in caught.value.hint
    assert packs(cache_dir) == []
    build_pack(folder_source(pets), SETTINGS)
    with pytest.raises(DatasetError, match=message):
        build_pack(folder_source(pets), changed(on_error="fail"))


def test_an_image_that_opens_later_is_taken_in(pets: Path) -> None:
    away = pets.parent / "away.png"
    (pets / "cat" / "03.png").rename(away)
    (pets / "cat" / "03.png").symlink_to("nowhere.png")
    assert build_pack(folder_source(pets), SETTINGS).count == 79
    (pets / "cat" / "03.png").unlink()
    away.rename(pets / "cat" / "03.png")
    assert build_pack(folder_source(pets), SETTINGS).count == 80


def test_no_readable_image(pets: Path, cache_dir: Path) -> None:
    for file in pets.rglob("*.png"):
        file.write_text("broken")
    with pytest.raises(DatasetError, match="none of the 80 images of pets can be decoded"):
        build_pack(folder_source(pets), SETTINGS)
    assert packs(cache_dir) == []


def test_a_file_that_takes_too_long_is_left_out(pets: Path) -> None:
    """Pillow reads a comment byte by byte; this one has no end."""
    with (pets / "cat" / "slow.ppm").open("wb") as handle:
        handle.write(b"P6\n#")
        handle.truncate(100 * 2**20)
    made = build_pack(folder_source(pets), changed(timeout=2.0))
    assert made.count == 80
    assert made.unreadable == [("cat/slow.ppm", "decoding takes longer than 2 seconds")]


class Impatient(WorkerPool):
    """Loses the fourth image where it may take less than ten seconds."""

    def map_ordered(self, work, items, *, chunk):
        for i, outcome in enumerate(work(item) for item in items):
            yield [WorkerFailure("it is slow") if i == 3 and self.timeout < 10 else outcome]


def test_an_image_that_took_too_long_is_tried_again_with_more_time(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "WorkerPool", Impatient)
    assert build_pack(folder_source(pets), changed(timeout=9)).unreadable == [
        ("cat/03.png", "it is slow")
    ]
    assert build_pack(folder_source(pets), changed(timeout=10)).count == 80


# --- found by content ------------------------------------------------------------------------


def test_a_folder_that_was_moved_copied_or_touched_finds_its_pack(pets: Path) -> None:
    first = build_pack(folder_source(pets), SETTINGS)
    moved = pets.rename(pets.parent / "moved")
    assert build_pack(folder_source(moved), SETTINGS, progress=no_decoding).folder == first.folder
    copied = Path(shutil.copytree(moved, pets.parent / "copied"))
    os.utime(copied / "cat" / "05.png", (1, 1))
    assert build_pack(folder_source(copied), SETTINGS, progress=no_decoding).folder == first.folder


def test_a_change_that_keeps_size_and_time_is_seen(pets: Path) -> None:
    """As by a camera's clock, or a careful copy; the digest must not be taken from memory."""
    path = pets / "cat" / "05.png"
    Image.new("L", (3, 3), 9).save(path)
    for file in pets.rglob("*.png"):
        os.utime(file, (1, 1))
    first, size = build_pack(folder_source(pets), SETTINGS), path.stat().st_size
    Image.new("L", (3, 3), 8).save(path)
    assert path.stat().st_size == size
    os.utime(path, (1, 1))
    again = build_pack(folder_source(pets), SETTINGS)
    assert again.digest != first.digest
    assert (pixels(again)[5] == 8).all()


# --- grey or colour --------------------------------------------------------------------------


def drawn(folder: Path, colours: list[tuple[int, int, int]]) -> FolderSource:
    folder.mkdir()
    for i, colour in enumerate(colours):
        Image.new("RGB", (8, 8), colour).save(folder / f"{i:03d}.png")
    return FolderSource(folder)


@pytest.mark.parametrize(
    ("odd", "channels"), [((70, 70, 70), 1), ((70, 73, 74), 1), ((70, 70, 75), 3)]
)
def test_auto_finds_grey_stored_as_colour(
    tmp_path: Path, odd: tuple[int, int, int], channels: int
) -> None:
    source = drawn(tmp_path / "set", [(i, i, i) for i in range(90)] + [odd])
    auto = build_pack(source, changed(channels="auto"))
    assert auto.channels == channels
    same = build_pack(source, changed(channels=channels), progress=no_decoding)
    assert (same.folder, same.digest) == (auto.folder, auto.digest)
    again = build_pack(source, changed(channels="auto"), progress=no_decoding)
    assert again.folder == auto.folder
    values = pixels(auto)[:90].reshape(90, -1)
    assert (values == np.arange(90)[:, None]).all(), "grey stays what it was"


@pytest.mark.parametrize("first", [1, 3])
def test_auto_is_not_misled_by_a_pack_that_was_asked_for(tmp_path: Path, first: int) -> None:
    colour = drawn(tmp_path / "colour", [(9, 9, 9), (200, 0, 0)])
    grey = drawn(tmp_path / "grey", [(9, 9, 9), (8, 8, 8)])
    for source, channels in ((colour, 3), (grey, 1)):
        build_pack(source, changed(channels=first))
        assert build_pack(source, changed(channels="auto")).channels == channels


def test_a_set_is_stored_larger_where_crops_are_smaller(pets: Path) -> None:
    made = build_pack(folder_source(pets), changed(image_size=32, random_crop=0.7))
    assert (made.height, made.width) == (46, 46)


# --- without pixels --------------------------------------------------------------------------


def test_off_checks_all_images_and_stores_none(pets: Path, cache_dir: Path) -> None:
    (pets / "cat" / "03.png").write_text("broken")
    off = build_pack(folder_source(pets), changed(cache="off"))
    assert not off.images_path.exists()
    disk = build_pack(folder_source(pets), SETTINGS)
    assert (off.digest, off.names) == (disk.digest, disk.names)
    assert off.unreadable == disk.unreadable
    assert len(packs(cache_dir)) == 2
    shutil.rmtree(off.folder)
    assert build_pack(folder_source(pets), changed(cache="off"), progress=no_decoding).record.stored


def test_auto_stores_nothing_where_the_disk_has_no_room(
    pets: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_dir.mkdir()
    usage = shutil.disk_usage(cache_dir)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert not build_pack(folder_source(pets), SETTINGS).record.stored
    with pytest.raises(DatasetError, match=r"needs 0\.00 GB .* 0\.00 GB are free") as caught:
        build_pack(folder_source(pets), changed(cache="disk"))
    assert "data.cache" in caught.value.hint


# --- what the originals were like ------------------------------------------------------------


def test_looks(tmp_path: Path) -> None:
    sizes = [(10, 10), (20, 10), (10, 40), (6, 30), (100, 50)]
    for i, size in enumerate(sizes):
        Image.new("L", size).save(tmp_path / f"{i}.png")
    looks = build_pack(FolderSource(tmp_path), changed(image_size=[10, 10])).record.looks
    assert (looks.width, looks.height) == ((6, 10, 100), (10, 30, 50))
    assert looks.shown == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 5 + 1 / 2) / 5)
    assert (looks.enlarged, looks.animated) == (1, 0)
    padded = build_pack(FolderSource(tmp_path), changed(image_size=[10, 10], aspect="pad"))
    assert (padded.record.looks.enlarged, padded.record.looks.shown) == (0, 1)
