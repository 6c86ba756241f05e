"""Decoding: orientation, and the first of several frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.decoding.pixels import colours, row, saved

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: a[::-1].T,
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: a.T[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg"])
def test_exif_orientation(tmp_path: Path, orientation: int, name: str) -> None:
    stored = np.array([[0, 120, 240], [60, 180, 90]], dtype=np.uint8)
    blocks = Image.fromarray(np.kron(stored, np.ones((16, 16), dtype=np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, blocks, name, exif=exif, **options)
    seen = colours(path, channels=1)[8::16, 8::16].astype(int)
    expected = UPRIGHT[orientation](stored)
    assert seen.shape == expected.shape
    assert abs(seen - expected).max() <= 2


def test_damaged_exif_data_loses_no_image(tmp_path: Path) -> None:
    path = saved(tmp_path, row("L", 5, 6), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")
    assert colours(path, channels=1).tolist() == [[5, 6]]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_first_frame(tmp_path: Path, name: str) -> None:
    first, second = Image.new("RGB", (4, 4), (250, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 250))
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, first, name, save_all=True, append_images=[second], **options)
    assert colours(path)[0, 0].tolist() == [250, 0, 0]


def test_two_images_in_one_jpeg(tmp_path: Path) -> None:
    grey = Image.new("L", (16, 16), 200)
    path = tmp_path / "a.jpg"
    grey.save(path, "MPO", save_all=True, append_images=[Image.new("L", (16, 16), 10)])
    assert colours(path, channels=1)[8, 8] == 200
