"""Batches: which pictures belong to a step, and those pictures as tensors."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from iddm_cli.data.loader.stores import PixelStore

EpochOrder = Callable[[int], Tensor]
"""`order(epoch)` returns that epoch's permutation of the picture indices, [N], int64."""

AugmentFn = Callable[[Tensor, int, Tensor], Tensor]
"""`augment(x, step, slots)` changes the pictures of some slots, [B, C, H, W]."""


def normalize(pixels: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


class BatchLoader:
    """The batch of every step, as a function of the step alone.

    Epochs follow each other without a gap: slot s of step n holds picture number
    n * batch_size + s of the endless sequence of shuffled epochs.

    Args:
        store: All pictures.
        labels: Their class indices, [N], int64, on the CPU.
        batch_size: Slots in the global batch.
        order: The permutation of each epoch.
        augment: Changes pictures at random; None leaves them as they are.
        device: Where batches are put together.
    """

    def __init__(
        self,
        store: PixelStore,
        labels: Tensor,
        *,
        batch_size: int,
        order: EpochOrder,
        augment: AugmentFn | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.store = store
        self.labels = labels
        self.batch_size = batch_size
        self.order = lru_cache(maxsize=2)(order)
        self.augment = augment
        self.device = device or torch.device("cpu")

    def __len__(self) -> int:
        return len(self.store)

    def indices(self, step: int, slots: Tensor) -> Tensor:
        """Return which pictures fill these slots of this step, [B], int64."""
        position = step * self.batch_size + slots
        count = len(self.store)
        epochs, places = position // count, position % count
        index = torch.empty_like(places)
        for epoch in epochs.unique().tolist():
            here = epochs == epoch
            index[here] = self.order(epoch)[places[here]]
        return index

    def load_batch(self, step: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures, float32 in [-1, 1], [B, C, H, W], and labels, [B], for these slots."""
        index = self.indices(step, slots)
        self.store.prefetch(index)
        for soon in range(1, self.store.prefetch_steps + 1):
            self.store.prefetch(self.indices(step + soon, slots))
        x = normalize(self.store.read(index).to(self.device, non_blocking=True))
        if self.augment is not None:
            x = self.augment(x, step, slots)
        return x, self.labels[index].to(self.device)
