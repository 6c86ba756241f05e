"""Packs of which only the facts are used: nothing of them is on a disk."""

from pathlib import Path

import numpy as np

from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.packs.record import PackRecord, SourceStats


def make_pack(
    classes: tuple[str, ...] = ("cat", "dog"), labels=(0, 1, 1), digest: str = "abc"
) -> Pack:
    """Return a pack of grey images, 8 x 8 pixels."""
    record = PackRecord(
        source="pets", place="pets", count=len(labels), height=8, width=8, channels=1, stored=True,
        classes=classes, skipped=[("x.png", "not an image")], left_out=[9], grey=True, pixels="d",
        looks=SourceStats(width=(8, 8, 8), height=(8, 8, 8), shown=1.0, enlarged=0, animated=0),
    )  # fmt: skip
    return Pack(
        folder=Path("nowhere"), spec=PixelSpec((8, 8), 1, "crop", "white"), record=record,
        labels=np.array(labels), classes=classes, digest=digest, notes=(), skipped_entries=(),
    )  # fmt: skip
