"""Masks: white is generated, black is kept, and each image finds its own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.data.progress import no_progress
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.workflows.generating.mask_images import check_shapes, load_masks
from iddm_cli.workflows.generating.source_images import SourceImages
from tests.build.profiles import tiny_profile


def paint(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def half(level=255, size=8) -> np.ndarray:
    mask = np.zeros((size, size))
    mask[:, size // 2 :] = level
    return mask


def sources(*names: str, size=(8, 8)) -> SourceImages:
    count = len(names)
    return SourceImages(names, None, torch.zeros(count, 3, 8, 8), (size,) * count)


def load(path: Path, images: SourceImages):
    profile = tiny_profile(data={"channels": 3, "image_size": [8, 8], "workers": 1})
    return load_masks(path, images, profile, no_progress)


def test_one_mask_is_for_all_images_and_is_resized_like_them(tmp_path):
    path = paint(tmp_path / "m.png", half(size=16))
    masks, names = load(path, sources("a.png", "b.png", size=(32, 32)))
    assert masks.shape == (2, 1, 8, 8)
    assert masks.dtype == torch.bool
    assert torch.equal(masks[0, 0], torch.from_numpy(half() > 0))
    assert names == ["m.png", "m.png"]


def test_grey_is_cut_at_half_and_transparent_is_kept(tmp_path):
    levels = np.tile(np.arange(8) * 32, (8, 1))
    masks, _ = load(paint(tmp_path / "m.png", levels), sources("a.png"))
    assert masks[0, 0, 0].tolist() == [False] * 4 + [True] * 4, "128 is white"
    rgba = np.full((8, 8, 4), 255)
    rgba[:4, :, 3] = 0
    masks, _ = load(paint(tmp_path / "t.png", rgba), sources("a.png"))
    assert masks[0, 0, :, 0].tolist() == [False] * 4 + [True] * 4


def test_each_image_of_a_folder_finds_its_mask_by_path_or_name(tmp_path):
    paint(tmp_path / "cat" / "a.png", half())
    paint(tmp_path / "dog" / "a.png", 255 - half())
    masks, names = load(tmp_path, sources("dog/a.jpg", "cat/a.jpg"))
    assert names == ["dog/a.png", "cat/a.png"]
    assert torch.equal(masks[0], ~masks[1])
    flat = paint(tmp_path / "flat" / "b.webp", half()).parent
    assert load(flat, sources("cat/b.png"))[1] == ["b.webp"]
    with pytest.raises(UsageError, match=r"no mask for cat/c\.png"):
        load(tmp_path, sources("cat/c.png"))


def test_a_mask_without_white_or_of_another_shape_is_refused(tmp_path):
    path = paint(tmp_path / "m.png", half(level=1))
    with pytest.raises(DatasetError, match="no white pixel"):
        load(path, sources("a.png"))
    with pytest.raises(UsageError, match="their shapes differ"):
        load(paint(tmp_path / "w.png", half()), sources("a.png", size=(16, 8)))
    check_shapes("a.png", (100, 66), "m.png", (50, 33))
    check_shapes("a.png", (101, 66), "m.png", (50, 33))
