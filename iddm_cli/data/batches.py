"""Batches: which pictures belong to a step, and those pictures as tensors."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

Order = Callable[[int], Tensor]
"""`order(epoch)` returns that epoch's permutation of the picture indices, [N], int64."""

Mirrored = Callable[[int, Tensor], Tensor]
"""`mirrored(step, slots)` says which slots are flipped, [B], bool."""


def open_pixels(path: Path, shape: tuple[int, int, int, int]) -> Tensor:
    """Map a pack's pixels into memory, uint8, [N, C, H, W]; only what is used is read."""
    count = shape[0] * shape[1] * shape[2] * shape[3]
    return torch.from_file(str(path), shared=False, size=count, dtype=torch.uint8).view(shape)


def to_unit(pixels: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


class Batches:
    """The batch of every step, as a function of the step alone.

    Epochs follow each other without a gap: slot s of step n holds picture number
    n * batch_size + s of the endless sequence of shuffled epochs.

    Args:
        pixels: All pictures, uint8, [N, C, H, W].
        labels: Their class indices, [N], int64.
        batch_size: Slots in the global batch.
        order: The permutation of each epoch.
        mirrored: Which slots are flipped left to right; None flips none.
    """

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        order: Order,
        mirrored: Mirrored | None = None,
    ) -> None:
        self.pixels = pixels
        self.labels = labels
        self.batch_size = batch_size
        self.order = lru_cache(maxsize=2)(order)
        self.mirrored = mirrored

    def indices(self, step: int, slots: Tensor) -> Tensor:
        """Return which pictures fill these slots of this step, [B], int64."""
        position = step * self.batch_size + slots
        count = len(self.pixels)
        epochs, places = position // count, position % count
        index = torch.empty_like(places)
        for epoch in epochs.unique().tolist():
            here = epochs == epoch
            index[here] = self.order(epoch)[places[here]]
        return index

    def at(self, step: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures, float32 in [-1, 1], [B, C, H, W], and labels, [B], for these slots."""
        index = self.indices(step, slots).to(self.pixels.device)
        x = to_unit(self.pixels[index])
        if self.mirrored is not None:
            flip = self.mirrored(step, slots).to(x.device)
            x = torch.where(flip[:, None, None, None], x.flip(3), x)
        return x, self.labels[index]
