"""The seam statistic of benchmarks/windows.py: 1 without seams, more with them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from iddm_cli.diffusion.windowed_denoiser import WindowSettings

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SETTINGS = WindowSettings((16, 16), 0.5)
SIZE = (48, 64)


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import windows

    yield windows
    for name in ("windows", "reporting"):
        sys.modules.pop(name, None)


def make_noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(100, 110, (*SIZE, 3)).astype(float)


def add_seams(pixels: np.ndarray, step: float) -> np.ndarray:
    """Return an image whose pieces of 8 x 8, between the borders, differ in brightness."""
    pieces = [np.arange(side) // 8 % 2 for side in SIZE]
    return pixels + step * (pieces[0][:, None] ^ pieces[1][None, :])[..., None]


def test_borders_are_the_lines_where_windows_begin_and_end(windows):
    assert windows.find_borders((48, 64), SETTINGS) == [[*range(8, 48, 8)], [*range(8, 64, 8)]]
    assert windows.find_borders((16, 20), SETTINGS) == [[], [4, 16]]


def test_the_ratio_rises_with_seams_and_at_the_borders_alone(windows):
    ratios = [
        windows.compare_borders(add_seams(make_noise(0), step), SETTINGS) for step in (0, 2, 8)
    ]
    at = [ratio[0] for ratio in ratios]
    assert at[0] == pytest.approx(1, abs=0.05)
    assert at[0] < at[1] < at[2]
    assert at[2] > 2
    assert max(ratios[2][1:]) < 1


def test_the_interval_is_that_of_a_mean(windows):
    values = np.random.default_rng(0).normal(1, 0.1, 400)
    low, high = windows.bootstrap(values)
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=5e-4)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=5e-4)


def test_a_class_has_the_mean_of_its_images_and_an_interval_around_it(windows, tmp_path, capsys):
    noted = PngImagePlugin.PngInfo()
    noted.add_text("iddm:windows", "16x16, overlap 0.5")
    ratios = []
    for seed in range(4):
        pixels = add_seams(make_noise(seed), 2 * seed).astype(np.uint8)
        ratios.append(windows.compare_borders(pixels.astype(float), SETTINGS)[0])
        (tmp_path / "wood").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "wood" / f"{seed}.png", pnginfo=noted)
    (row,) = windows.measure(tmp_path)
    assert (row["class"], row["count"]) == ("wood", 4)
    assert row["ratio"] == pytest.approx(np.mean(ratios))
    low, high = row["interval"]
    assert min(ratios) <= low < row["ratio"] < high <= max(ratios)
    assert windows.measure(tmp_path) == [row]
    assert f"| wood | 4 | {row['ratio']:.3f} |" in windows.tabulate([row])
