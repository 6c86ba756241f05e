"""Images that are upscaled keep their size; their pixels decide their noise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.engine.sampling.small_image import SmallImage
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.upscaling.small_images import load_small_images
from tests.build.profiles import TINY, tiny_profile

CLASSES = ("cat", "dog")


def draw(path: Path, size=(8, 6), seed=0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(levels).save(path)
    return levels


def load(*paths: Path, given=None, classes=CLASSES, factor=4, **training) -> list[SmallImage]:
    profile = tiny_profile(
        data={"channels": 3, "image_size": 16, "workers": 1},
        model={**TINY, "condition": "low_resolution", "upscale_factor": factor},
        training=training,
    )
    return load_small_images(paths, profile, EIGHT_BIT, classes, given=given, progress=no_progress)


def test_each_image_keeps_its_pixels_and_has_the_class_of_its_folder(tmp_path):
    tom = draw(tmp_path / "cat" / "tom.png")
    rex = draw(tmp_path / "dog" / "rex.png", size=(5, 12), seed=1)
    found = load(tmp_path)
    assert [one.name for one in found] == ["cat/tom.png", "dog/rex.png"]
    assert [one.label for one in found] == [0, 1]
    assert [one.size for one in found] == [(6, 8), (12, 5)]
    for one, levels in zip(found, (tom, rex), strict=True):
        assert torch.equal(one.planes, torch.from_numpy(levels).permute(2, 0, 1))
    assert [one.label for one in load(tmp_path, given=1)] == [1, 1]


def test_the_noise_of_an_image_depends_on_its_pixels_and_on_nothing_else(tmp_path):
    draw(tmp_path / "a" / "one.png")
    draw(tmp_path / "b" / "other.png", seed=1)
    draw(tmp_path / "c" / "copy.png")
    one, other, copy = (load(tmp_path / name)[0].noise for name in "abc")
    assert one == copy != other
    assert load(tmp_path / "b" / "other.png", tmp_path / "a" / "one.png")[1].noise == one


def test_an_unknown_class_is_no_label_unless_the_model_needs_one(tmp_path):
    draw(tmp_path / "bird" / "a.png")
    assert load(tmp_path / "bird")[0].label == len(CLASSES)
    assert load(tmp_path / "bird", classes=())[0].label == 0
    with pytest.raises(UsageError, match=r"the class of a.png is not known") as error:
        load(tmp_path / "bird", label_drop=0.0)
    assert "--class NAME" in error.value.hint
    assert load(tmp_path / "bird", label_drop=0.0, given=1)[0].label == 1


def test_what_cannot_be_upscaled_is_named(tmp_path):
    with pytest.raises(UsageError, match="there is no such file or folder"):
        load(tmp_path / "nothing")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"bad.png cannot be decoded"):
        load(tmp_path / "bad.png")
    draw(tmp_path / "wide.png", size=(600, 1))
    with pytest.raises(DatasetError, match=r"wide.png has 600 x 1 pixels, and 16 times"):
        load(tmp_path / "wide.png", factor=16)
