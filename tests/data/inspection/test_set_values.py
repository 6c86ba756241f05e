"""The values of a set in the inspection: as training will see them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.packs.builder import build_pack
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings

from .images import inspect, save_image


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))


def save_values(root: Path, low: int, high: int, dtype: str, count: int = 6) -> Path:
    root.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        values = random.integers(low, high + 1, (8, 8)).astype(dtype)
        values[0, :2] = low, high
        Image.fromarray(values).save(root / f"{dtype}{i}.tif")
    return root


def test_deep_images_are_reported_in_their_own_range(tmp_path: Path) -> None:
    root = save_values(tmp_path / "lungs", 300, 3300, "uint16")
    found = inspect(root)
    report = found.value_range
    assert report is not None
    assert (report.dtype, report.low, report.high) == ("uint16", [300.0], [3300.0])
    assert found.constant == [], "nothing is one colour"
    assert found.duplicates.count == found.near_duplicates.count == 0
    (histogram,) = report.histograms
    assert histogram.bars[0].label == "300 to 600"
    assert histogram.bars[-1].label == "3,000 to 3,300"
    assert abs(sum(bar.count for bar in histogram.bars) - 1000) <= 5
    pixels = np.stack([np.asarray(Image.open(path)) for path in root.iterdir()]).astype(float)
    assert found.values.mean == [pytest.approx(pixels.mean(), abs=1e-3)]
    assert found.values.deviation == [pytest.approx(pixels.std(), abs=1e-3)]
    assert any("300 to 3,300 (uint16) become black to white" in line.text for line in found.advice)
    pack = build_pack(FolderSource(root), DataSettings(image_size=8, workers=2, held_out=0))
    assert pack.values.describe() == report.range, "training says the same"
    assert found.treatment.pack_bytes == pack.pixels_bytes


def test_labels_are_no_constant_images(tmp_path: Path) -> None:
    root = save_values(tmp_path / "labels", 0, 2, "uint8")
    Image.new("L", (8, 8), 1).save(root / "same.png")
    found = inspect(root)
    assert found.constant == ["same.png"]
    assert found.value_range is not None
    assert [bar.label for bar in found.value_range.histograms[0].bars] == ["0", "1", "2"]
    assert any("as in images of labels" in line.text for line in found.advice)


def test_ordinary_images_have_no_such_report(tmp_path: Path) -> None:
    for i in range(3):
        save_image(tmp_path / "pets", f"{i}.png")
    assert inspect(tmp_path / "pets").value_range is None


def test_a_mixture_is_not_trainable_and_says_what_to_set(tmp_path: Path) -> None:
    root = save_values(tmp_path / "mixed", 300, 3300, "uint16")
    save_values(root, 0, 255, "uint8")
    found = inspect(root)
    assert not found.trainable
    assert "6 of uint16, 300 to 3,300" in found.verdict
    assert "data.value_range" in found.verdict
    assert inspect(root, value_range=[0, 4095]).trainable


def test_what_training_skips_is_skipped_here(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for i in range(30):
        save_image(root, f"{i}.png")
    Image.fromarray(np.full((8, 8), 70_000, np.int32)).save(root / "odd.tif")
    found = inspect(root)
    pack = build_pack(FolderSource(root), DataSettings(image_size=8, workers=2, held_out=0))
    assert [name for name, _ in found.unreadable] == ["odd.tif"]
    assert found.unreadable == pack.unreadable
