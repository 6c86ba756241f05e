"""A folder with images of every kind that is reported, and its inspection."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.inspection.report_data import Inspection

from .images import inspect, make_image, save_image


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of every kind that is distinguished, and each kind of duplicate."""
    root = tmp_path_factory.mktemp("mixed") / "pets"
    save_image(root, "cat/1.png")
    save_image(root, "cat/2.png", mode="L")
    save_image(root, "cat/3.jpg", (40, 20))
    save_image(root, "cat/5.png")
    save_image(root, "dog/1.png", (10, 30), "RGBA")
    grey = make_image("cat/2.png", mode="L")
    grey.convert("RGB").save(root / "cat/6.png")  # equal, though stored as colour
    make_image("cat/1.png").save(root / "cat/7.bmp")
    make_image("cat/1.png").save(root / "dog/8.png")
    Image.new("RGB", (9, 9), (200, 10, 10)).save(root / "dog/9.png")
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(root / "dog/deep.png")
    first, second = make_image("a"), make_image("b")
    first.save(root / "dog/moves.gif", save_all=True, append_images=[second])
    for i in range(3):
        (root / f"dog/broken{i}.png").write_text("broken")
    (root / "dog/empty.png").touch()
    (root / "dog/notes.txt").touch()
    (root / "bird").mkdir()
    return root


@pytest.fixture(scope="module")
def found(mixed: Path) -> Inspection:
    return inspect(mixed)


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("oblong")
    for name, size in {"wide": (40, 10), "tall": (8, 16), "square": (16, 16)}.items():
        save_image(root, f"{name}.png", size)
    return root
