"""Inspection: counts, what is advised, and the contact sheet."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.index import index_folder
from iddm_cli.data.inspection import Inspection, Spread, contact_sheet, inspect
from iddm_cli.data.sources import FolderSource, open_source

FASHION = Path(__file__).parents[3] / "shared/data/fashion-mnist-small/train"


def look_at(root: Path) -> Inspection:
    return inspect(FolderSource(index_folder(root)))


def put(root: Path, name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    """Write a picture of random pixels, another one for each name."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    rng = np.random.default_rng(list(name.encode()))
    pixels = rng.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8).squeeze(axis=None)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode=mode if bands > 1 else None).save(path)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Five cats and two dogs, some of them odd, and a file that is no picture."""
    root = tmp_path / "pets"
    put(root, "cat/1.png", (8, 8))
    put(root, "cat/2.png", (8, 8), "L")
    put(root, "cat/3.jpg", (40, 20))
    put(root, "dog/1.png", (10, 30), "RGBA")
    put(root, "dog/2.png").write_text("broken")
    (root / "dog" / "notes.txt").touch()
    put(root, "cat/5.png", (8, 8))
    (root / "cat" / "4.png").write_bytes((root / "cat" / "1.png").read_bytes())
    return root


def test_counts(mixed: Path) -> None:
    found = look_at(mixed)
    assert (found.name, found.count, found.trainable) == ("pets", 6, True)
    assert found.classes == {"cat": 5, "dog": 1}
    assert found.width == Spread(8, 8, 40)
    assert found.height == Spread(8, 8, 30)
    assert found.shorter_side == Spread(8, 8, 20)
    assert found.common_sizes == [(8, 8, 4), (40, 20, 1), (10, 30, 1)]
    assert found.modes == {"RGB": 4, "L": 1, "RGBA": 1}
    assert found.formats == {"PNG": 5, "JPEG": 1}
    assert found.suffixes == {".png": 5, ".jpg": 1}
    assert (found.grey, found.transparent, found.duplicates, found.not_square) == (1, 1, 1, 2)
    assert [name for name, _ in found.unreadable] == ["dog/2.png"]
    assert [name for name, _ in found.skipped] == ["dog/notes.txt"]
    assert found.total_bytes == sum(f.stat().st_size for f in mixed.rglob("*.*g"))


def test_json_says_the_same(mixed: Path) -> None:
    found = look_at(mixed)
    told = json.loads(json.dumps(found.to_json()))
    assert told["classes"] == {"cat": 5, "dog": 1}
    assert told["width"] == {"smallest": 8, "median": 8, "largest": 40}
    assert told["common_sizes"][0] == [8, 8, 4]
    assert set(told) == set(vars(found))


def test_progress_and_order_are_the_same_every_time(mixed: Path) -> None:
    calls: list[tuple[int, int]] = []
    source = FolderSource(index_folder(mixed))
    first = inspect(source, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (7, 7)
    assert inspect(source) == first


def advised(root: Path) -> str:
    return "\n".join(look_at(root).advice)


def test_advice_on_odd_files(mixed: Path) -> None:
    advice = advised(mixed)
    assert "Pictures that cannot be read, and will be left out: 1." in advice
    assert "Other entries passed over: 1." in advice
    assert "Pictures whose pixels another one has as well: 1." in advice
    assert "Pictures that are not square: 2" in advice
    assert "Pictures with an alpha channel: 1" in advice
    assert "Half of the pictures have a shorter side of 8 pixels or less" in advice
    assert "grey" not in advice


def test_advice_on_few_pictures_and_imbalance(tmp_path: Path) -> None:
    for i in range(60):
        put(tmp_path, f"many/{i}.png")
    for i in range(6):
        put(tmp_path, f"few/{i}.png")
    advice = advised(tmp_path)
    assert "Classes with fewer than 50 pictures: 1, the smallest being few with 6" in advice
    assert "many has 60 pictures and few 6" in advice
    assert "Every picture can be read." in advice
    assert "A data.image_size above 8 enlarges the pictures." in advice
    for i in range(6, 60):
        put(tmp_path, f"few/{i}.png")
    assert "few" not in advised(tmp_path)


def test_advice_on_grey(tmp_path: Path) -> None:
    put(tmp_path, "1.png", mode="L")
    assert "Every picture is grey: data.channels: 1" in advised(tmp_path)
    assert "There are no classes" in advised(tmp_path)
    Image.open(tmp_path / "1.png").convert("RGB").save(tmp_path / "1.png")
    assert "Every picture is grey, though stored as colour" in advised(tmp_path)
    put(tmp_path, "2.png")
    assert "grey" not in advised(tmp_path)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("broken")
    found = look_at(tmp_path)
    assert (found.trainable, found.count, found.width) == (False, 0, Spread(0, 0, 0))
    assert found.advice == ["No picture can be read: there is nothing to train on."]


def test_every_mode_can_be_looked_at(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB"):
        Image.new(mode, (4, 4)).save(tmp_path / f"{mode}.tif")
    found = look_at(tmp_path)
    assert [name for name, _ in found.unreadable] == ["I.tif"]  # which cannot be trained on
    assert found.count == 11


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the data beside the repository")
def test_fashion_mnist() -> None:
    found = look_at(FASHION)
    assert (found.count, found.grey, found.unreadable) == (2000, 2000, [])
    assert list(found.classes.values()) == [200] * 10
    assert found.common_sizes == [(28, 28, 2000)]
    assert found.modes == {"L": 2000}


def test_contact_sheet(mixed: Path) -> None:
    source = FolderSource(index_folder(mixed))
    sheet = contact_sheet(source, per_class=3, cell=20)
    assert sheet.mode == "RGB"
    assert 2 * 20 <= sheet.height < 3 * 20


def test_contact_sheet_shows_so_many_of_each_class(tmp_path: Path) -> None:
    for i in range(5):
        put(tmp_path, f"cat/{i}.png")
    source = FolderSource(index_folder(tmp_path))
    one, three, all_five = (
        contact_sheet(source, per_class=count, cell=20).width for count in (1, 3, 99)
    )
    assert three - one == all_five - three >= 2 * 20


def test_contact_sheet_of_a_flat_folder_and_of_the_demo(mixed: Path) -> None:
    flat = contact_sheet(FolderSource(index_folder(mixed / "cat")), cell=32)
    assert flat.width > 5 * 32
    assert contact_sheet(open_source("demo", size=(16, 16)), per_class=2).height >= 6 * 64
