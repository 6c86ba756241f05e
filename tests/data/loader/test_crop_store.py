"""Random crops: anywhere in an image, of every kind of memory, as a function of step and slot."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.crop_store import CropStore, RandomCrops
from iddm_cli.engine import randomness
from iddm_cli.errors import DatasetError

SIZES = np.array([[5, 9], [8, 4], [3, 3]])
ROWS = np.array([0, 0, 1, 2])
TILES = np.array([[0, 0], [2, 6], [5, 1], [0, 0]])


def uniform(seed: int, purpose: str, step: int, slots: torch.Tensor) -> torch.Tensor:
    return randomness.uniform(seed, purpose, items=slots, step=step)


def write_images(path: Path, dtype: type) -> list[np.ndarray]:
    """Write images of which no two numbers are the same, as far as the type allows."""
    numbers = np.arange(2 * SIZES.prod(axis=1).sum()).astype(dtype)
    numbers.tofile(path)
    ends = 2 * SIZES.prod(axis=1).cumsum()
    return [
        numbers[end - 2 * h * w : end].reshape(2, h, w)
        for end, (h, w) in zip(ends, SIZES.tolist(), strict=True)
    ]


def open_store(path: Path, dtype: torch.dtype = torch.uint8) -> CropStore:
    return CropStore(path, SIZES, shape=(2, 3, 3), dtype=dtype, rows=ROWS, tiles=TILES)


@pytest.mark.parametrize(("kind", "dtype"), [(np.uint8, torch.uint8), (np.uint16, torch.uint16)])
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_crop_has_the_pixels_of_its_place(tmp_path, kind, dtype, in_memory):
    images = write_images(tmp_path / "images", kind)
    store = open_store(tmp_path / "images", dtype)
    store = store.to(torch.device("cpu")) if in_memory else store
    index, corners = torch.tensor([2, 0, 1]), torch.tensor([[5, 1], [0, 6], [2, 0]])
    crops = store.read_crops(index, corners)
    assert crops.dtype == dtype
    for crop, i, (top, left) in zip(crops, index.tolist(), corners.tolist(), strict=True):
        expected = images[ROWS[i]][:, top : top + 3, left : left + 3]
        assert (crop.numpy() == expected).all()
    tiles = store.read(torch.arange(4))
    assert torch.equal(tiles, store.read_crops(torch.arange(4), torch.from_numpy(TILES)))


def test_every_place_of_an_image_is_equally_likely_and_none_lies_outside(tmp_path):
    write_images(tmp_path / "images", np.uint8)
    crops = RandomCrops(open_store(tmp_path / "images"), partial(uniform, 0))
    slots = torch.arange(21_000)
    corners = crops.choose_corners(torch.zeros(21_000, dtype=torch.int64), 3, slots)
    places, counts = corners.unique(dim=0, return_counts=True)
    assert len(places) == 3 * 7
    assert counts.min() > 850
    assert counts.max() < 1150
    assert crops.choose_corners(torch.tensor([3]), 0, torch.tensor([0])).tolist() == [[0, 0]]


def test_a_crop_is_a_function_of_seed_step_and_slot(tmp_path):
    write_images(tmp_path / "images", np.uint8)
    store = open_store(tmp_path / "images")

    def load(seed: int) -> BatchLoader:
        return BatchLoader(
            store,
            torch.zeros(4, dtype=torch.int64),
            batch_size=64,
            order=lambda epoch: torch.arange(4),
            read=RandomCrops(store, partial(uniform, seed)).read,
        )

    slots = torch.arange(64)
    whole, _ = load(0).load_batch(5, slots)
    parts = torch.cat([load(0).load_batch(5, part)[0] for part in slots.split(20)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole, load(0).load_batch(6, slots)[0])
    assert not torch.equal(whole, load(1).load_batch(5, slots)[0])


def test_a_file_of_another_length_is_refused(tmp_path):
    write_images(tmp_path / "images", np.uint8)
    with (tmp_path / "images").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DatasetError, match="was truncated"):
        open_store(tmp_path / "images")
