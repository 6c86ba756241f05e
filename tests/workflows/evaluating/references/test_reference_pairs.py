"""References: matched by path or name without suffix, compared at their own size and depth."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.workflows.evaluating.references.reference_pairs import (
    find_pairs,
    match_names,
    measure_references,
)


def draw(path: Path, levels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)


def make_levels(seed: int, shape=(12, 14)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("names", "references", "rows"),
    [
        (["a/x.png", "b/x.png"], ["b/x.jpg", "a/x.jpg"], [1, 0]),
        (["x.png", "y.png"], ["x.tif"], [0, None]),
        (["x.jpg", "x.png"], ["x.png", "x.jpg"], [1, 0]),
        (["images/x.png"], ["x.png"], [0]),
        (["a/x.png", "b/x.png"], ["x.png"], [None, None]),
        (["x.png"], ["a/x.png", "b/x.png"], [None]),
        (["c/x.png"], ["a/x.png", "y.png"], [0]),
    ],
    ids=str,
)
def test_an_image_has_the_reference_of_its_path_or_else_of_its_name(names, references, rows):
    assert match_names(names, references) == rows


def measure(tmp_path: Path, **changes):
    options = {"size": None, "most": None, "progress": no_progress, **changes}
    return measure_references(str(tmp_path / "made"), str(tmp_path / "wanted"), **options)


def test_a_known_error_has_its_psnr_and_the_worst_image_is_named(tmp_path):
    for name, error in (("a", 1), ("cat/b", 10), ("c", 0)):
        levels = make_levels(len(name))
        draw(tmp_path / "made" / f"{name}.png", levels + np.uint8(error))
        draw(tmp_path / "wanted" / f"{name}.tiff", levels)
    draw(tmp_path / "wanted" / "z.png", make_levels(1))
    fidelity, warnings = measure(tmp_path)
    values = {pair.name: pair.psnr for pair in fidelity.pairs}
    assert values["a.png"] == pytest.approx(20 * np.log10(255), abs=1e-4)
    assert values["cat/b.png"] == pytest.approx(20 * np.log10(25.5), abs=1e-4)
    assert values["c.png"] == np.inf
    assert fidelity.lowest["psnr"].name == fidelity.lowest["ssim"].name == "cat/b.png"
    assert "references without an image are left out: z.png" in warnings
    assert any("1 of 3 images equal their references" in text for text in warnings)
    assert measure(tmp_path, most=1)[0].count == 1


def test_grey_is_compared_with_colour_and_8_bits_with_16(tmp_path):
    levels = make_levels(2)
    draw(tmp_path / "made" / "a.png", levels)
    draw(tmp_path / "wanted" / "a.png", levels.astype(np.uint16) * 257)
    draw(tmp_path / "made" / "b.png", levels)
    draw(tmp_path / "wanted" / "b.png", np.stack([levels] * 3, 2))
    assert min(pair.psnr for pair in measure(tmp_path)[0].pairs) > 120


def test_other_sizes_are_refused_or_resized(tmp_path):
    draw(tmp_path / "made" / "a.png", make_levels(2))
    draw(tmp_path / "wanted" / "a.png", make_levels(2, (24, 28)))
    with pytest.raises(DatasetError, match=r"a.png has 14 x 12 pixels, and its reference 28 x 24"):
        measure(tmp_path)
    assert measure(tmp_path, size=(12, 12))[0].count == 1


def test_what_cannot_be_compared_is_named(tmp_path):
    draw(tmp_path / "made" / "a.png", make_levels(2))
    draw(tmp_path / "wanted" / "b.png", make_levels(2))
    with pytest.raises(DatasetError, match=r"no image of .*made has the name of one of"):
        find_pairs(str(tmp_path / "made"), str(tmp_path / "wanted"))
    (tmp_path / "wanted" / "a.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"a.png cannot be compared with its reference"):
        measure(tmp_path)
    with pytest.raises(UsageError, match=r"--references .*: there is no such file or folder"):
        find_pairs(str(tmp_path / "made"), str(tmp_path / "nothing"))
