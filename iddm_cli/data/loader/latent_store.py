"""Latents in the place of pixels: what a network is trained on where there is an encoder."""

import torch
from torch import Tensor

from iddm_cli.data.loader.stores import PixelStore
from iddm_cli.records.latent_scale import LatentScale


class LatentStore:
    """The latents of the images of a dataset, each channel of mean 0 and deviation 1.

    Args:
        store: Where they are kept, as float16 [N, C, H, W].
        scale: Mean and deviation of what is kept.
    """

    prefetch_steps = 0

    def __init__(self, store: PixelStore, scale: LatentScale) -> None:
        self.store = store
        self.scale = scale

    def __len__(self) -> int:
        return len(self.store)

    def read(self, index: Tensor) -> Tensor:
        """Return latents, float32 [B, C, H, W], on the device of the store."""
        latents = self.store.read(index).float()
        mean, deviation = (
            torch.tensor(numbers, device=latents.device).view(-1, 1, 1)
            for numbers in (self.scale.mean, self.scale.deviation)
        )
        return (latents - mean) / deviation

    def prefetch(self, index: Tensor) -> None:
        """Prepare latents that will be read soon."""
        self.store.prefetch(index)

    def close(self) -> None:
        """Release memory and files."""
        self.store.close()
