"""What the tests of the data layer share: a cache of their own, and a folder of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of 40 images, of many sizes and modes."""
    rng = np.random.default_rng(0)
    for i in range(80):
        path = tmp_path / "pets" / ("cat" if i < 40 else "dog") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = rng.integers(4, 40, 2)
        shape = (height, width) if i % 3 == 0 else (height, width, 3 + i % 2)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return tmp_path / "pets"
