"""Thumbnails: which images are shown, and that they are small and true."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.resize import to_pixels
from iddm_cli.data.inspection import thumbnails
from iddm_cli.data.inspection.scan import DatasetScan, scan
from iddm_cli.data.inspection.summary import summarize
from iddm_cli.data.inspection.thumbnails import (
    ThumbnailSet,
    build_thumbnails,
    choose_class_examples,
)
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.data.sources.registry import open_source
from iddm_cli.profiles.settings import DataSettings

from .images import make_image, save_image

SETTINGS = DataSettings(image_size=8, workers=2)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> DatasetScan:
    root = tmp_path_factory.mktemp("set") / "pets"
    for i in range(25):
        save_image(root, f"cat/{i:02d}.png", (20, 10))
    save_image(root, "dog/large.jpg", (600, 300))
    save_image(root, "dog/small.png", (9, 9), "L")
    save_image(root, "cat/broken.png").write_text("broken")
    make_image("dog/small.png", (9, 9), "L").save(root / "cat/same.png")
    return scan(FolderSource(root), SETTINGS)


@pytest.fixture(scope="module")
def thumbs(scanned: DatasetScan) -> ThumbnailSet:
    return build_thumbnails(scanned)


def test_each_class_is_shown_evenly(thumbs: ThumbnailSet) -> None:
    cats, dogs = ([small.name for small in row] for row in thumbs.classes)
    assert [cats[0], cats[-1]] == ["cat/00.png", "cat/same.png"]
    assert len(set(cats)) == thumbnails.PER_CLASS
    gaps = np.diff([int(name[4:6]) for name in cats[:-1]])
    assert set(gaps.tolist()) <= {2, 3}
    assert dogs == ["dog/large.jpg", "dog/small.png"]


def test_small_images_are_kept_as_they_are(scanned: DatasetScan, thumbs: ThumbnailSet) -> None:
    small = thumbs.classes[0][0]
    assert (small.width, small.height, small.format) == (20, 10, "png")
    np.testing.assert_array_equal(
        np.asarray(small.image()), np.asarray(make_image("cat/00.png", (20, 10)))
    )


def test_large_images_shrink(thumbs: ThumbnailSet) -> None:
    large = thumbs.classes[1][0]
    assert (large.width, large.height, large.format) == (128, 64, "webp")
    assert large.image().size == (128, 64)
    assert len(large.content) < 20_000


def test_pairs_show_the_image_before_and_after_preprocessing(thumbs: ThumbnailSet) -> None:
    pair = next(pair for pair in thumbs.pairs if pair.original.name == "cat/00.png")
    look = {"size": (8, 8), "channels": 3, "aspect": "crop", "background": "white"}
    preprocessed = to_pixels(make_image("cat/00.png", (20, 10)), **look)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(pair.preprocessed.image()), preprocessed)


def test_duplicates_are_shown_together(thumbs: ThumbnailSet) -> None:
    assert [[small.name for small in row] for row in thumbs.equal] == [
        ["cat/same.png", "dog/small.png"]
    ]


def test_of_many_classes_fewer_are_shown(
    scanned: DatasetScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "MAX_CLASS_THUMBNAILS", 8)
    assert [len(rows) for rows in choose_class_examples(scanned)] == [4, 2]
    monkeypatch.setattr(thumbnails, "MAX_CLASS_THUMBNAILS", 1)
    assert [len(rows) for rows in choose_class_examples(scanned)] == [1, 0]


def test_what_has_gone_since_is_left_out(tmp_path: Path) -> None:
    for i in range(3):
        save_image(tmp_path, f"{i}.png")
    scanned = scan(FolderSource(tmp_path), SETTINGS)
    (tmp_path / "1.png").unlink()
    thumbs = build_thumbnails(scanned)
    assert [[small.name for small in row] for row in thumbs.classes] == [["0.png", "2.png"]]
    assert len(thumbs.pairs) == 2


def test_nothing_can_be_shown(tmp_path: Path) -> None:
    save_image(tmp_path, "1.png").write_text("broken")
    assert build_thumbnails(scan(FolderSource(tmp_path), SETTINGS)) == ThumbnailSet(
        [[]], [], [], []
    )


def test_drawn_images_are_shown_too() -> None:
    scanned = scan(open_source("demo", size=(8, 8)), SETTINGS)
    thumbs, found = build_thumbnails(scanned), summarize(scanned)
    assert (found.count, found.total_bytes, found.place) == (3000, 0, "")
    assert (found.treatment.channels, found.treatment.enlarged) == (1, 0)
    assert found.kinds.formats == {"none": 3000}
    assert [len(row) for row in thumbs.classes] == [thumbnails.PER_CLASS] * 6
    first = thumbs.classes[0][0]
    assert isinstance(first.image(), Image.Image)
    assert first.name == "crazing/000"
