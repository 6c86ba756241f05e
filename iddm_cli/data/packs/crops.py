"""Crops of images that keep their own size: the tiles that an image is divided into.

A tile is a place of the size of a crop. Tiles do not overlap, and their gaps are spread evenly: an
image has as many as fit. They are what is counted: an epoch trains on as many crops of an image as
it has tiles, so that large images count for more, and the crops lie anywhere in it. Where images
are compared, such as held-out ones, the crops are the tiles themselves.
"""

from dataclasses import replace

import numpy as np
from numpy import ndarray

from iddm_cli.data.packs import store
from iddm_cli.data.packs.pack import Pack


def take_crops(pack: Pack) -> Pack:
    """Return the pack with the tiles of its images as its items, and the same held out.

    Images are held out before that, so that no image is trained on in one place and tested in
    another. A pack of whole images is returned as it is.
    """
    if not pack.record.cropped:
        return pack
    rows = np.arange(pack.record.count) if pack.rows is None else pack.rows
    tiles = [plan_tiles(size, pack.spec.size) for size in store.read_shapes(pack.folder)[rows]]
    counts = [len(places) for places in tiles]
    return replace(
        pack,
        rows=np.repeat(rows, counts),
        labels=np.repeat(pack.labels, counts),
        tiles=np.concatenate(tiles),
        held_out=None if pack.held_out is None else take_crops(pack.held_out),
    )


def plan_tiles(size: ndarray, crop: tuple[int, int]) -> ndarray:
    """Return top and left of each tile of an image, row by row, int64 [tiles, 2].

    Args:
        size: Height and width of the image, [2], at least those of a crop.
        crop: Height and width of a crop.
    """
    down, across = (_spread(int(side), length) for side, length in zip(size, crop, strict=True))
    return np.stack(np.meshgrid(down, across, indexing="ij"), axis=-1).reshape(-1, 2)


def find_median_size(pack: Pack) -> tuple[int, int]:
    """Return the median height and width of the images that a pack's crops lie in."""
    assert pack.rows is not None, "each tile has a row"
    height, width = np.median(store.read_shapes(pack.folder)[pack.rows], axis=0).astype(int)
    return int(height), int(width)


def _spread(side: int, length: int) -> ndarray:
    """Return where pieces of a length begin on a side; a single one lies in the middle."""
    count, rest = side // length, side - length
    if count == 1:
        return np.array([rest // 2])
    return np.arange(count) * rest // (count - 1)
