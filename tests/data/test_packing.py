"""Packing: pixels in order, packs used again, and what happens when things go wrong."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.images import fit, open_image
from iddm_cli.data.index import index_folder
from iddm_cli.data.packing import Pack, pack
from iddm_cli.data.sources import FolderSource, Source, open_source
from iddm_cli.errors import DatasetError
from iddm_cli.settings import DataSettings

FASHION = Path(__file__).parents[3] / "shared/data/fashion-mnist-small/train"
SETTINGS = DataSettings(image_size=[8, 12], workers=2)


def folder_source(pets: Path) -> FolderSource:
    return FolderSource(index_folder(pets))


def changed(**values: object) -> DataSettings:
    return DataSettings(**{**SETTINGS.model_dump(), **values})


def pixels(made: Pack) -> np.ndarray:
    shape = (made.count, made.channels, made.height, made.width)
    return np.memmap(made.images_path, dtype=np.uint8, mode="r", shape=shape)


def packs(cache_dir: Path) -> list[str]:
    return sorted(path.name for path in (cache_dir / "packs").iterdir())


class Counting:
    """A source that counts how many pictures were decoded."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.decoded = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.source, name)

    def __len__(self) -> int:
        return len(self.source)

    def image(self, i: int) -> Image.Image:
        self.decoded += 1
        return self.source.image(i)


# --- what is packed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"channels": 1, "aspect": "pad", "background": "grey"},
        {"aspect": "squash", "background": "black", "workers": 0},
        {"image_size": 700, "workers": 1},  # so large that each chunk is two pictures
    ],
)
def test_pixels_are_those_of_each_file_in_order(pets: Path, values: dict[str, object]) -> None:
    settings, source = changed(**values), folder_source(pets)
    made = pack(source, settings)
    assert (made.count, made.height, made.width) == (80, *settings.size)
    assert made.names == [source.item_name(i) for i in range(80)]
    assert made.labels == [0] * 40 + [1] * 40
    assert made.classes == ("cat", "dog")
    assert made.skipped == []
    look = {key: getattr(settings, key) for key in ("size", "channels", "aspect", "background")}
    for planes, name in zip(pixels(made), made.names, strict=True):
        assert (planes.transpose(1, 2, 0) == fit(open_image(pets / name), **look)).all()


def test_digest_is_of_pixels_labels_and_classes(pets: Path) -> None:
    made = pack(folder_source(pets), SETTINGS)
    digests = {made.digest}
    record = json.loads((made.folder / "pack.json").read_text())
    assert record["pixels"] == hashlib.sha256(made.images_path.read_bytes()).hexdigest()
    digests.add(pack(folder_source(pets), changed(conditional=False)).digest)
    digests.add(pack(folder_source(pets), changed(background="black")).digest)
    (pets / "dog" / "40.png").rename(pets / "cat" / "40.png")
    digests.add(pack(folder_source(pets), SETTINGS).digest)
    (pets / "cat").rename(pets / "bat")
    digests.add(pack(folder_source(pets), SETTINGS).digest)
    assert len(digests) == 5
    shutil.rmtree(made.folder.parent)
    (pets / "bat").rename(pets / "cat")
    (pets / "cat" / "40.png").rename(pets / "dog" / "40.png")
    assert pack(folder_source(pets), SETTINGS).digest == made.digest


def test_progress_rises_to_the_end(pets: Path) -> None:
    calls: list[tuple[int, int]] = []
    pack(folder_source(pets), SETTINGS, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (80, 80)
    assert {total for _, total in calls} == {80}


def test_little_is_held_at_once(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that stalls must stop the decoders as well."""
    source, most = Counting(folder_source(pets)), 0

    def stall(done: int, _: int) -> None:
        nonlocal most
        time.sleep(0.01)
        most = max(most, source.decoded - done)

    monkeypatch.setattr("iddm_cli.data.packing.CHUNK_BYTES", 4 * 8 * 12 * 3)  # 4 pictures
    pack(source, SETTINGS, progress=stall)
    assert 0 < most <= 2 * 2 * 4


def test_the_dataset_is_not_touched(pets: Path) -> None:
    def state() -> list[tuple[str, int, int, bytes]]:
        files = sorted(pets.rglob("*"))
        facts = [(file, file.stat()) for file in files]
        return [
            (str(f), s.st_mtime_ns, s.st_mode, f.read_bytes() if f.is_file() else b"")
            for f, s in facts
        ]

    before = state(), pets.stat().st_mtime_ns
    pack(folder_source(pets), SETTINGS)
    assert (state(), pets.stat().st_mtime_ns) == before


def test_classes_are_dropped_or_demanded(pets: Path) -> None:
    made = pack(folder_source(pets), changed(conditional=False))
    assert (made.classes, made.labels) == ((), [0] * 80)
    assert pack(folder_source(pets), changed(conditional=True)).classes == ("cat", "dog")
    flat = folder_source(pets / "cat")
    assert (pack(flat, SETTINGS).classes, pack(flat, SETTINGS).labels) == ((), [0] * 40)
    with pytest.raises(DatasetError, match=r"no classes, but data\.conditional is true"):
        pack(flat, changed(conditional=True))


def test_demo() -> None:
    source = open_source("demo", size=(8, 8))
    made = pack(source, changed(image_size=8, channels=1))
    assert made.count == 3000
    assert (pixels(made)[777, 0] == np.asarray(source.image(777))).all()


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the data beside the repository")
def test_fashion_mnist() -> None:
    made = pack(folder_source(FASHION), changed(image_size=28, channels=1))
    assert (made.count, made.skipped) == (2000, [])
    assert np.bincount(made.labels).tolist() == [200] * 10
    assert made.classes[0] == "0_t-shirt_top"
    for i in range(0, 2000, 97):
        assert (pixels(made)[i, 0] == np.asarray(Image.open(FASHION / made.names[i]))).all()


# --- used again ------------------------------------------------------------------------------


def test_a_pack_is_used_again(pets: Path, cache_dir: Path) -> None:
    first = pack(folder_source(pets), SETTINGS)
    before = first.images_path.stat().st_mtime_ns
    source = Counting(folder_source(pets))
    assert pack(source, SETTINGS) == first
    assert source.decoded == 0
    assert first.images_path.stat().st_mtime_ns == before
    others = changed(workers=1, horizontal_flip=True, conditional=False)
    assert pack(source, others).folder == first.folder
    assert len(packs(cache_dir)) == 1


def test_what_changes_the_pixels_makes_another_pack(pets: Path) -> None:
    variants = ({}, {"image_size": 8}, {"channels": 1}, {"aspect": "pad"}, {"background": "grey"})
    folders = {pack(folder_source(pets), changed(**values)).folder for values in variants}
    Image.new("L", (3, 3), 9).save(pets / "cat" / "05.png")
    made = pack(folder_source(pets), SETTINGS)
    assert len(folders | {made.folder}) == 6
    assert (pixels(made)[5] == 9).all()


# --- pictures that cannot be decoded ---------------------------------------------------------


def test_unreadable_pictures_are_left_out_and_told(pets: Path) -> None:
    (pets / "cat" / "03.png").write_text("broken")
    os.truncate(pets / "dog" / "79.png", 60)
    made = pack(folder_source(pets), SETTINGS)
    assert made.count == len(made.names) == 78
    assert made.labels == [0] * 39 + [1] * 39
    assert [name for name, _ in made.skipped] == ["cat/03.png", "dog/79.png"]
    assert made.skipped[0][1].startswith("not a picture")
    assert "cat/03.png" not in made.names
    whole = fit(
        open_image(pets / "cat/04.png"), size=(8, 12), channels=3, aspect="crop", background="white"
    )
    assert (pixels(made)[3].transpose(1, 2, 0) == whole).all()
    assert pack(folder_source(pets), SETTINGS) == made


def test_unreadable_pictures_may_be_fatal(pets: Path, cache_dir: Path) -> None:
    (pets / "cat" / "03.png").write_text("broken")
    message = r"cat/03\.png cannot be decoded: not a picture"
    with pytest.raises(DatasetError, match=message) as caught:
        pack(folder_source(pets), changed(on_error="fail"))
    assert "data.on_error" in caught.value.hint
    assert packs(cache_dir) == []
    pack(folder_source(pets), SETTINGS)
    with pytest.raises(DatasetError, match=message):
        pack(folder_source(pets), changed(on_error="fail"))


def test_a_picture_that_opens_later_is_taken_in(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions change no file's size or time, so the key stays the same."""
    whole, is_open = FolderSource.image, False

    def image(self: FolderSource, i: int) -> Image.Image:
        return whole(self, i) if i != 3 or is_open else open_image(pets / "missing")

    monkeypatch.setattr(FolderSource, "image", image)
    assert pack(folder_source(pets), SETTINGS).count == 79
    is_open = True
    assert pack(folder_source(pets), SETTINGS).count == 80


def test_no_readable_picture(pets: Path, cache_dir: Path) -> None:
    for file in pets.rglob("*.png"):
        file.write_text("broken")
    with pytest.raises(DatasetError, match="None of the 80 pictures of pets can be decoded"):
        pack(folder_source(pets), SETTINGS)
    assert packs(cache_dir) == []
