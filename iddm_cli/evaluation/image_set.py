"""Image sets: images in memory, preprocessed alike, with their classes."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, with their classes.

    Attributes:
        name: What messages and reports call the set.
        pixels: Levels, uint8 or uint16, [N, C, H, W], on the CPU.
        labels: Index of each image's class, int64 [N]; None without classes.
        classes: Names of the classes; empty without.
        names: Name of each image, or empty.
    """

    name: str
    pixels: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def has_classes(self) -> bool:
        """Whether there are at least two classes to tell apart."""
        return self.labels is not None and len(self.classes) > 1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and classes, in hexadecimal digits."""
        labels = [] if self.labels is None else self.labels.tolist()
        facts = (tuple(self.pixels.shape), str(self.pixels.dtype), labels, self.classes)
        digest = hashlib.sha256(repr(facts).encode())
        digest.update(self.pixels.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def images(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Return images in [-1, 1], float32 [B, C, H, W]."""
        return normalize(self.pixels[start:stop])

    def select(self, index: Tensor) -> "ImageSet":
        """Return the images of these indices, int64 [B], or of a mask, bool [N]."""
        if index.dtype == torch.bool:
            index = index.nonzero()[:, 0]
        pixels = self.pixels
        if pixels.dtype == torch.uint16:  # which cannot be indexed
            pixels = pixels.view(torch.int16)[index].view(torch.uint16)
        else:
            pixels = pixels[index]
        labels = None if self.labels is None else self.labels[index]
        names = tuple(self.names[i] for i in index.tolist()) if self.names else ()
        return replace(self, pixels=pixels, labels=labels, names=names)

    def of_class(self, label: int) -> "ImageSet":
        """Return the images of one class.

        Args:
            label: Index of the class; the set must have classes.
        """
        assert self.labels is not None, "the set has classes"
        return self.select(self.labels == label)
