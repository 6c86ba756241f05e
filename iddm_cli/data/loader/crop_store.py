"""Crops of images that have sizes of their own: the pixels of a pack, and random places in them."""

import mmap
from collections.abc import Callable
from pathlib import Path

import torch
from numpy import ndarray
from torch import Tensor

from iddm_cli.errors import DatasetError

UniformFn = Callable[[str, int, Tensor], Tensor]
"""`uniform(purpose, step, slots)` returns a random number in [0, 1) for each slot, float32 [B]."""


class CropStore:
    """Images of sizes of their own, of which crops are read.

    The file is mapped into memory: of a large image, only the parts that a crop touches are read,
    and the system keeps as much of the file as memory allows.

    Args:
        path: The pixels of all stored images, each [C, H, W], one after the other.
        sizes: Height and width of each stored image, int64 [M, 2].
        shape: Channels, height and width of a crop.
        dtype: Type of the pixels.
        rows: The stored image of each item, int64 [N].
        tiles: Top and left of the tile of each item in its image, int64 [N, 2].

    Raises:
        DatasetError: The file was truncated.
    """

    prefetch_steps = 0

    def __init__(
        self,
        path: Path,
        sizes: ndarray,
        *,
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        rows: ndarray,
        tiles: ndarray,
    ) -> None:
        self.shape = shape
        counts = shape[0] * sizes.prod(axis=1)
        self.rows, self.tiles = torch.from_numpy(rows), torch.from_numpy(tiles)
        self.sizes = torch.from_numpy(sizes)
        self._ends = counts.cumsum()
        self._pixels = _map_file(path, dtype, int(self._ends[-1]))

    def to(self, device: torch.device) -> "CropStore":
        """Copy all pixels into the memory of a device, and return the store."""
        self._pixels = self._pixels.clone() if device.type == "cpu" else self._pixels.to(device)
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: Tensor) -> Tensor:
        """Return the tiles of some items, uint8 or uint16 [B, C, H, W]."""
        return self.read_crops(index, self.tiles[index])

    def read_crops(self, index: Tensor, corners: Tensor) -> Tensor:
        """Return crops of the images of some items, uint8 or uint16 [B, C, H, W].

        Args:
            index: Item indices, int64 [B], on the CPU.
            corners: Top and left of each crop in its image, int64 [B, 2], on the CPU.
        """
        channels, height, width = self.shape
        crops = []
        for row, (top, left) in zip(self.rows[index].tolist(), corners.tolist(), strict=True):
            high, wide = self.sizes[row].tolist()
            end = int(self._ends[row])
            image = self._pixels[end - channels * high * wide : end].view(channels, high, wide)
            crops.append(image[:, top : top + height, left : left + width])
        if self._pixels.dtype == torch.uint16:  # which few devices can copy together
            return torch.stack([crop.view(torch.int16) for crop in crops]).view(torch.uint16)
        return torch.stack(crops)

    def find_sizes(self, index: Tensor) -> Tensor:
        """Return height and width of the whole image of each of some items, int64 [B, 2]."""
        return self.sizes[self.rows[index]]

    def prefetch(self, index: Tensor) -> None:
        """Do nothing: the operating system reads ahead."""

    def close(self) -> None:
        """Do nothing: the file is unmapped with the store."""


def _map_file(path: Path, dtype: torch.dtype, count: int) -> Tensor:
    """Return the numbers of a file, mapped into memory, [count].

    Raises:
        DatasetError: It has fewer.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    numbers = torch.frombuffer(mapped, dtype=dtype)
    if len(numbers) != count:
        raise DatasetError(
            f"the cache file {path} was truncated",
            "Clear it (iddm cache clear) and resume: iddm decodes the images again.",
        )
    return numbers


class RandomCrops:
    """Reads a crop at a random place of each image, as a function of (seed, step, slot).

    Args:
        store: The images.
        uniform: Source of random numbers.
    """

    def __init__(self, store: CropStore, uniform: UniformFn) -> None:
        self.store = store
        self._random = uniform

    def read(self, index: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return a crop of the image of each of these items, uint8 or uint16 [B, C, H, W].

        Args:
            index: Item indices, int64 [B], on the CPU.
            step: The training step.
            slots: Slots of the items in the global batch, [B], on the CPU.
        """
        return self.store.read_crops(index, self.choose_corners(index, step, slots))

    def choose_corners(self, index: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return top and left of the crop of each slot, every place equally likely, [B, 2]."""
        places = self.store.find_sizes(index) - torch.tensor(self.store.shape[1:]) + 1
        numbers = [self._random(purpose, step, slots) for purpose in ("crop-top", "crop-left")]
        return (torch.stack(numbers, dim=1).double() * places).long()
