"""Mirroring: whether a mirrored image still shows its class, so that augmentation may mirror it."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness

MAX_COMPARED = 1000
COMPARED_SIDE = 16
"""Images are compared at this many pixels on the longer side."""

LARGEST_LOSS = 0.02
"""Share of images whose nearest neighbour may be of their class only unless they are mirrored."""


def allows_mirroring(pixels: Tensor, labels: Tensor) -> bool:
    """Return whether mirrored images are as near to images of their own class as others are.

    A mirrored "b" is nearest to a "d"; a mirrored scratch is nearest to another scratch.

    Args:
        pixels: Levels, uint16 [N, C, H, W].
        labels: Their classes, int64 [N].
    """
    index = randomness.permutation(0, "usefulness-mirror", step=0, count=len(labels))
    index = index[:MAX_COMPARED]
    x = normalize(MemoryStore(pixels).read(index))
    scale = min(1.0, COMPARED_SIDE / max(x.shape[2:]))
    x = interpolate(x, size=[max(1, round(side * scale)) for side in x.shape[2:]], mode="area")
    plain, mirrored = (_named_rightly(query, x, labels[index]) for query in (x, x.flip(3)))
    return mirrored >= plain - LARGEST_LOSS


def _named_rightly(queries: Tensor, x: Tensor, labels: Tensor) -> float:
    """Return the share of images whose nearest other image has their class."""
    distances = torch.cdist(queries.flatten(1), x.flatten(1)).fill_diagonal_(torch.inf)
    return float((labels[distances.argmin(1)] == labels).double().mean())
