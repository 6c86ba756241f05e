"""Summary: what is counted and measured, compared with sets whose faults are known."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.resize import to_pixels
from iddm_cli.data.inspection.report_data import (
    DuplicateGroup,
    HistogramBar,
    Inspection,
    SkipReason,
    Spread,
)
from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings

from .images import inspect, make_image, save_image

FASHION = Path(__file__).parents[4] / "shared/data/fashion-mnist-small/train"


def test_counts(found: Inspection, mixed: Path) -> None:
    assert (found.name, found.place, found.count) == ("pets", str(mixed.resolve()), 11)
    assert found.classes == {"cat": 6, "dog": 5}
    assert found.shares == {"cat": round(6 / 11, 4), "dog": round(5 / 11, 4)}
    assert found.imbalance == 1.2
    images = [p for p in mixed.rglob("*.*") if p.suffix != ".txt"]
    assert found.total_bytes == sum(path.stat().st_size for path in images)
    assert (found.trainable, found.verdict) == (
        True,
        "11 images of 2 classes can be used for training.",
    )


def test_sizes(found: Inspection) -> None:
    sizes = found.sizes
    assert sizes.width == Spread(8, 8, 40)
    assert sizes.height == Spread(8, 8, 30)
    assert sizes.shorter_side == Spread(8, 8, 20)
    assert sizes.common[0] == (8, 8, 8)
    assert sizes.not_square == 2
    assert sizes.shorter_sides == [
        HistogramBar("8", 8),
        HistogramBar("9", 1),
        HistogramBar("10", 1),
        HistogramBar("20", 1),
    ]
    assert sum(bar.count for bar in sizes.aspects) == 11


def test_kinds(found: Inspection) -> None:
    kinds = found.kinds
    assert kinds.modes == {"RGB": 7, "L": 1, "RGBA": 1, "uint16": 1, "P": 1}
    assert kinds.formats == {"PNG": 8, "JPEG": 1, "BMP": 1, "GIF": 1}
    assert kinds.suffixes == {".png": 8, ".jpg": 1, ".bmp": 1, ".gif": 1}
    assert (kinds.grey, kinds.grey_stored_as_colour) == (3, 1)
    assert (kinds.transparent, kinds.animated, kinds.sixteen_bit) == (1, 1, 1)
    assert found.constant == ["dog/9.png"]


def test_an_alpha_channel_that_is_full_is_not_transparent(tmp_path: Path) -> None:
    make_image("full").convert("RGBA").save(tmp_path / "full.png")
    Image.new("LA", (8, 8), (9, 255)).save(tmp_path / "grey.png")
    assert inspect(tmp_path).kinds.transparent == 0
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(tmp_path / "deep.png", transparency=999)
    Image.new("LA", (8, 8), (9, 254)).save(tmp_path / "grey.png")
    assert inspect(tmp_path).kinds.transparent == 2


def test_skipped_files_are_grouped_by_reason(found: Inspection) -> None:
    assert [name for name, _ in found.unreadable] == [
        *(f"dog/broken{i}.png" for i in range(3)),
        "dog/empty.png",
    ]
    assert {name for name, _ in found.skipped} == {"bird", "dog/notes.txt"}
    assert found.faults[0].count == 3
    assert found.faults[0].examples == [f"dog/broken{i}.png" for i in range(3)]
    assert SkipReason("the file is empty", 1, ["dog/empty.png"]) in found.faults
    assert sum(fault.count for fault in found.faults) == 6


def test_equal_images_are_reported_those_across_classes_first(found: Inspection) -> None:
    same = found.duplicates
    assert same.groups == [
        DuplicateGroup(["cat/1.png", "cat/7.bmp", "dog/8.png"], ["cat", "dog"]),
        DuplicateGroup(["cat/2.png", "cat/6.png"], ["cat"]),
    ]
    assert (same.count, same.across_classes, same.complete) == (3, 1, True)
    assert found.near_duplicates.groups == []


def test_a_copy_saved_again_is_a_near_duplicate(tmp_path: Path) -> None:
    make_image("x", (6, 6)).resize((64, 64), 3).save(tmp_path / "1.png")
    make_image("x", (6, 6)).resize((64, 64), 3).save(tmp_path / "2.jpg", quality=80)
    make_image("y", (6, 6)).resize((64, 64), 3).save(tmp_path / "3.png")
    found = inspect(tmp_path)
    assert found.near_duplicates.groups == [DuplicateGroup(["1.png", "2.jpg"], [])]
    assert found.duplicates.count == 0


def test_the_same_values_in_another_shape_are_another_image(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, 64, dtype=np.uint8)
    Image.fromarray(values.reshape(4, 16)).save(tmp_path / "wide.png")
    Image.fromarray(values.reshape(16, 4)).save(tmp_path / "tall.png")
    assert inspect(tmp_path).duplicates.groups == []


def test_json_has_the_same_content(found: Inspection) -> None:
    content = json.loads(json.dumps(found.to_json()))
    assert set(content) == {field.name for field in fields(Inspection)}
    assert content["classes"] == {"cat": 6, "dog": 5}
    assert content["sizes"]["width"] == {"smallest": 8, "median": 8, "largest": 40}
    assert content["unreadable"][0][0] == "dog/broken0.png"
    assert content["duplicates"]["groups"][0]["classes"] == ["cat", "dog"]
    assert {"level", "text"} == set(content["advice"][0])


def test_progress_and_result_are_the_same_every_time(mixed: Path, found: Inspection) -> None:
    calls: list[tuple[str, int, int]] = []
    again = inspect(mixed, workers=1, progress=lambda *call: calls.append(call))
    assert again == found
    assert ("reading images", 15, 15) in calls
    assert calls[-1] == ("comparing images", 11, 11)


@pytest.mark.parametrize("aspect", ["crop", "pad", "squash"])
def test_mean_and_deviation_are_those_after_preprocessing(tmp_path: Path, aspect: Any) -> None:
    for i in range(5):
        save_image(tmp_path, f"{i}.png", (10 + 3 * i, 12), "L" if i == 2 else "RGB")
    found = inspect(tmp_path, aspect=aspect, image_size=[6, 7])
    spec = {"size": (6, 7), "channels": 3, "aspect": aspect, "background": "white"}
    pixels = np.stack([to_pixels(Image.open(p), **spec) for p in sorted(tmp_path.iterdir())])  # type: ignore[arg-type]
    assert found.values.channels == ["red", "green", "blue"]
    np.testing.assert_allclose(found.values.mean, pixels.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(found.values.deviation, pixels.std((0, 1, 2)), atol=1e-3)


def test_pixel_values_are_those_of_the_pack(pets: Path, tmp_path: Path) -> None:
    settings = DataSettings(image_size=8, channels=1, workers=2, held_out=0, random_crop=0.8)
    made = build_pack(FolderSource(pets), settings)
    pixels = np.fromfile(made.images_path, np.uint8)
    found = inspect(pets, channels=1, random_crop=0.8)
    assert found.values.channels == ["grey"]
    assert found.values.mean == [pytest.approx(pixels.mean(), abs=1e-3)]
    assert found.values.deviation == [pytest.approx(pixels.std(), abs=1e-3)]
    assert found.treatment.pack_bytes == made.pixels_bytes == len(pixels)
    assert found.treatment.kept == pytest.approx(made.record.looks.shown, abs=1e-3)
    assert found.treatment.enlarged == made.record.looks.enlarged


def test_every_mode_can_be_inspected(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"):
        Image.new(mode, (4, 4)).save(tmp_path / f"{mode}.tif")
    found = inspect(tmp_path)
    assert found.unreadable == []
    assert not found.trainable
    assert found.verdict.startswith("The images are of types without a common range (9 of uint8")
    assert found.count == 12


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the data beside the repository")
def test_fashion_mnist() -> None:
    found = inspect(FASHION, image_size=28)
    pixels = np.stack([np.asarray(Image.open(path)) for path in FASHION.rglob("*.png")])
    assert found.values.mean == [pytest.approx(pixels.mean(), abs=1e-3)]
    assert found.values.deviation == [pytest.approx(pixels.std(), abs=1e-3)]
    assert (found.count, found.kinds.grey, found.duplicates.count) == (2000, 2000, 0)
    assert list(found.classes.values()) == [200] * 10
