"""Thumbnails: which pictures are shown, and that they are small and true."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.resize import to_pixels
from iddm_cli.data.inspection import thumbnails
from iddm_cli.data.inspection.scan import Survey, sum_up, survey
from iddm_cli.data.inspection.thumbnails import Album, choose, make_album
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.registry import open_source
from iddm_cli.profiles.settings import DataSettings

from .test_inspection import drawn, put

SETTINGS = DataSettings(image_size=8, workers=2)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    root = tmp_path_factory.mktemp("set") / "pets"
    for i in range(25):
        put(root, f"cat/{i:02d}.png", (20, 10))
    put(root, "dog/large.jpg", (600, 300))
    put(root, "dog/small.png", (9, 9), "L")
    put(root, "cat/broken.png").write_text("broken")
    drawn("dog/small.png", (9, 9), "L").save(root / "cat/same.png")
    return survey(FolderSource(root), SETTINGS)


@pytest.fixture(scope="module")
def album(seen: Survey) -> Album:
    return make_album(seen)


def test_each_class_is_shown_evenly(album: Album) -> None:
    cats, dogs = ([small.name for small in row] for row in album.classes)
    assert [cats[0], cats[-1]] == ["cat/00.png", "cat/same.png"]
    assert len(set(cats)) == thumbnails.PER_CLASS
    gaps = np.diff([int(name[4:6]) for name in cats[:-1]])
    assert set(gaps.tolist()) <= {2, 3}
    assert dogs == ["dog/large.jpg", "dog/small.png"]


def test_small_pictures_are_kept_as_they_are(seen: Survey, album: Album) -> None:
    small = album.classes[0][0]
    assert (small.width, small.height, small.form) == (20, 10, "png")
    np.testing.assert_array_equal(
        np.asarray(small.image()), np.asarray(drawn("cat/00.png", (20, 10)))
    )


def test_large_pictures_shrink(album: Album) -> None:
    large = album.classes[1][0]
    assert (large.width, large.height, large.form) == (128, 64, "webp")
    assert large.image().size == (128, 64)
    assert len(large.content) < 20_000


def test_pairs_show_what_is_learnt(album: Album) -> None:
    shot = next(shot for shot in album.pairs if shot.small.name == "cat/00.png")
    look = {"size": (8, 8), "channels": 3, "aspect": "crop", "background": "white"}
    learnt = to_pixels(drawn("cat/00.png", (20, 10)), **look)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(shot.learnt.image()), learnt)


def test_duplicates_are_shown_together(album: Album) -> None:
    assert [[small.name for small in row] for row in album.equal] == [
        ["cat/same.png", "dog/small.png"]
    ]


def test_of_many_classes_fewer_are_shown(seen: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "ALL_TOGETHER", 8)
    assert [len(rows) for rows in choose(seen)] == [4, 2]
    monkeypatch.setattr(thumbnails, "ALL_TOGETHER", 1)
    assert [len(rows) for rows in choose(seen)] == [1, 0]


def test_what_has_gone_since_is_left_out(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path, f"{i}.png")
    seen = survey(FolderSource(tmp_path), SETTINGS)
    (tmp_path / "1.png").unlink()
    album = make_album(seen)
    assert [[small.name for small in row] for row in album.classes] == [["0.png", "2.png"]]
    assert len(album.pairs) == 2


def test_nothing_can_be_shown(tmp_path: Path) -> None:
    put(tmp_path, "1.png").write_text("broken")
    assert make_album(survey(FolderSource(tmp_path), SETTINGS)) == Album([[]], [], [], [])


def test_drawn_pictures_are_shown_too() -> None:
    seen = survey(open_source("demo", size=(8, 8)), SETTINGS)
    album, found = make_album(seen), sum_up(seen)
    assert (found.count, found.total_bytes, found.place) == (3000, 0, "")
    assert (found.treatment.channels, found.treatment.enlarged) == (1, 0)
    assert found.kinds.formats == {"none": 3000}
    assert [len(row) for row in album.classes] == [thumbnails.PER_CLASS] * 6
    first = album.classes[0][0]
    assert isinstance(first.image(), Image.Image)
    assert first.name == "crazing/000"
