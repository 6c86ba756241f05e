"""Helpers of the inspection tests: images of random pixels, and the report of a folder."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from iddm_cli.data.inspection.report_data import Inspection
from iddm_cli.data.inspection.scan import scan
from iddm_cli.data.inspection.summary import summarize
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.folder import FolderSource
from iddm_cli.profiles.settings import DataSettings


def inspect(
    root: Path,
    *,
    batch_size: int = 64,
    profile: str = "",
    progress: ProgressCallback = no_progress,
    **settings: Any,
) -> Inspection:
    data = DataSettings(**{"workers": 2, "image_size": 8, **settings})
    scanned = scan(FolderSource(root), data, progress=progress)
    return summarize(scanned, profile=profile, batch_size=batch_size)


def make_image(name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """An image of random pixels, another one for each name."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    rng = np.random.default_rng(list(name.encode()))
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def save_image(root: Path, name: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make_image(name, size, mode).save(path)
    return path
