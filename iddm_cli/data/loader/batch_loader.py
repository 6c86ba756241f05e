"""Batch loading: which images belong to a training step, and these images as tensors."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from iddm_cli.data.loader.stores import PixelStore
from iddm_cli.data.loader.transfer import copy_to
from iddm_cli.value_range import DEEP_LEVELS

EpochOrder = Callable[[int], Tensor]
"""`order(epoch)` returns that epoch's permutation of the image indices, int64 [N]."""

AugmentFn = Callable[[Tensor, int, Tensor], Tensor]
"""`augment(x, step, slots)` returns changed images of some slots, [B, C, H, W]."""

ConditionFn = Callable[[Tensor, int, Tensor], Tensor]
"""`condition(x, step, slots)` returns the condition channels of images x, [B, N, H, W]."""


def normalize(pixels: Tensor) -> Tensor:
    """Convert levels, uint8 or uint16, to float32 in [-1, 1]; latents are what they are."""
    if pixels.is_floating_point():
        return pixels
    if pixels.dtype == torch.uint8:
        return pixels.float() / 127.5 - 1
    # Few devices compute with uint16: the same bits, read as int16, lack 2^16 from 2^15 on.
    signed = pixels.view(torch.int16).float()
    return (signed + (signed < 0) * 65_536.0) / (DEEP_LEVELS / 2) - 1


ReadFn = Callable[[Tensor, int, Tensor], Tensor]
"""`read(index, step, slots)` returns the pixels of some items, uint8 or uint16 [B, C, H, W]."""


class BatchLoader:
    """Loads the batch of any step, as a function of the step alone.

    Epochs follow each other without a gap: slot s of step n holds image number
    n * batch_size + s of the endless sequence of shuffled epochs.

    Args:
        store: The pixels of all images.
        labels: Class index of each image, int64 [N], on the CPU.
        batch_size: Images of the global batch.
        order: The permutation of each epoch.
        augment: Random changes; None for no augmentation.
        read: Reads what the items of a step hold, such as random crops; None: the store itself.
        device: Device of the batches.
    """

    def __init__(
        self,
        store: PixelStore,
        labels: Tensor,
        *,
        batch_size: int,
        order: EpochOrder,
        augment: AugmentFn | None = None,
        read: ReadFn | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.store = store
        self.labels = labels
        self.batch_size = batch_size
        self.order = lru_cache(maxsize=2)(order)
        self.augment = augment
        self.read = read
        self.device = device or torch.device("cpu")

    def __len__(self) -> int:
        return len(self.store)

    def indices(self, step: int, slots: Tensor) -> Tensor:
        """Return the image index of each of these slots of a step, int64 [B]."""
        position = step * self.batch_size + slots
        count = len(self.store)
        epochs, offsets = position // count, position % count
        index = torch.empty_like(offsets)
        for epoch in epochs.unique().tolist():
            in_epoch = epochs == epoch
            index[in_epoch] = self.order(epoch)[offsets[in_epoch]]
        return index

    def load_batch(self, step: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Return images, float32 in [-1, 1] [B, C, H, W], and labels, int64 [B], of these slots."""
        index = self.indices(step, slots)
        self.store.prefetch(index)
        for ahead in range(1, self.store.prefetch_steps + 1):
            self.store.prefetch(self.indices(step + ahead, slots))
        pixels = self.read(index, step, slots) if self.read else self.store.read(index)
        x = normalize(copy_to(self.device, pixels))
        if self.augment is not None:
            x = self.augment(x, step, slots)
        return x, copy_to(self.device, self.labels[index])
