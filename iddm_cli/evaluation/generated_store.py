"""Generated images on the disk, in chunks that appear whole, so that work cut off is continued.

<folder>/000016.safetensors    images 16 to 31: `pixels`, `labels`, and the digest of both
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from iddm_cli import durable

CHUNK = 16
"""Images of one file."""


class GeneratedStore:
    """The images of one way of generating them.

    Args:
        folder: The folder, which belongs to these weights, sampling settings and seed alone.
        labels: Class of each image.
        shape: Channels, height and width of an image.
        dtype: Type of the levels: torch.uint8 or torch.uint16.
    """

    def __init__(
        self,
        folder: Path,
        labels: Sequence[int],
        shape: tuple[int, int, int],
        dtype: torch.dtype = torch.uint8,
    ) -> None:
        self.folder = folder
        self.labels = labels
        self.shape = shape
        self.dtype = dtype

    def starts(self) -> range:
        """Return the index of the first image of each chunk."""
        return range(0, len(self.labels), CHUNK)

    def read(self, start: int) -> Tensor | None:
        """Return the images of a chunk, [B, C, H, W]; None if it is absent, short or damaged."""
        wanted = torch.tensor(self.labels[start : start + CHUNK])
        try:
            with safe_open(self._path(start), framework="pt") as file:
                pixels, labels = file.get_tensor("pixels"), file.get_tensor("labels")
                sound = (file.metadata() or {}).get("sha256") == _digest(pixels, labels)
        except (OSError, SafetensorError, ValueError, RuntimeError):
            return None
        count = len(wanted)
        same = sound and pixels.dtype == self.dtype and tuple(pixels.shape[1:]) == self.shape
        return pixels[:count] if same and torch.equal(labels[:count], wanted) else None

    def write(self, start: int, pixels: Tensor) -> None:
        """Write the images of a chunk, [B, C, H, W].

        Raises:
            OSError: The disk is full, or cannot be written.
        """
        labels = torch.tensor(self.labels[start : start + len(pixels)])
        tensors = {"pixels": pixels.contiguous(), "labels": labels}
        content = save(tensors, {"sha256": _digest(tensors["pixels"], labels)})
        self.folder.mkdir(parents=True, exist_ok=True)
        durable.write_file(self._path(start), content, flush=False)

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:06d}.safetensors"


def _digest(pixels: Tensor, labels: Tensor) -> str:
    digest = hashlib.sha256(pixels.contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(labels.numpy().tobytes())
    return digest.hexdigest()
