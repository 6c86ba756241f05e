"""Pixel stores: the pixels of a dataset in memory, in a file, or decoded on demand.

Every store returns the same pixels for the same dataset; they differ in speed and memory.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, prepare_image
from iddm_cli.data.decoding.workers import PendingResults, WorkerFailure, WorkerPool
from iddm_cli.data.loader.transfer import copy_to
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError
from iddm_cli.value_range import ValueRange

Shape = tuple[int, int, int]


def pixel_dtype(values: ValueRange) -> torch.dtype:
    """Return the type of the stored levels of a range."""
    return torch.uint8 if values.is_8_bit else torch.uint16


class PixelStore(Protocol):
    """The pixels of a dataset, by image index."""

    prefetch_steps: int
    """How many steps ahead a batch should be prefetched."""

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return images, uint8 or uint16 [B, C, H, W].

        Args:
            index: Image indices, int64 [B], on the CPU.
        """

    def prefetch(self, index: Tensor) -> None:
        """Prepare images that will be read soon."""

    def close(self) -> None:
        """Release memory, files and processes."""


class MemoryStore:
    """Images in the memory of a device.

    Args:
        pixels: All images, uint8 or uint16 [N, C, H, W].
    """

    prefetch_steps = 0

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, index: Tensor) -> Tensor:
        """Return images, uint8 or uint16 [B, C, H, W], on the device of the store."""
        index = copy_to(self.pixels.device, index)
        if self.pixels.dtype == torch.uint16:  # which few devices can index
            return self.pixels.view(torch.int16)[index].view(torch.uint16)
        return self.pixels[index]

    def prefetch(self, index: Tensor) -> None:
        """Do nothing: all images are in memory."""

    def close(self) -> None:
        """Do nothing: the memory is freed with the store."""


class FileStore:
    """Images in the files of a pack, read on demand.

    A file is read, not mapped: the system caches it as far as memory allows, and this process
    needs memory only for its batches.

    Args:
        paths: Each uint8 or uint16 [M, C, H, W], C-contiguous, no header; one follows the other.
        shape: Channels, height and width of an image.
        dtype: Type of the pixels.
        rows: Position of each image in the files, int64 [N]; None for all of them, in order.
    """

    prefetch_steps = 0

    def __init__(
        self,
        paths: Path | Sequence[Path],
        shape: Shape,
        dtype: torch.dtype = torch.uint8,
        rows: Tensor | None = None,
    ) -> None:
        self.shape = shape
        self.rows = rows
        self.dtype = dtype
        self.bytes = shape[0] * shape[1] * shape[2] * dtype.itemsize
        paths = [paths] if isinstance(paths, Path) else paths
        self._files = [path.open("rb", buffering=0) for path in paths]
        counts = [os.fstat(file.fileno()).st_size // self.bytes for file in self._files]
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self._ends[-1] if self.rows is None else len(self.rows)

    def read(self, index: Tensor) -> Tensor:
        """Return images, uint8 or uint16 [B, C, H, W].

        Raises:
            DatasetError: A file was truncated since it was opened.
        """
        index = index if self.rows is None else self.rows[index]
        pixels = torch.empty((len(index), *self.shape), dtype=self.dtype)
        rows = pixels.view(torch.uint8).view(len(index), self.bytes).numpy()
        for row, i in zip(rows, index.tolist(), strict=True):
            number = bisect_right(self._ends, i)
            file = self._files[number]
            file.seek((i - (self._ends[number - 1] if number else 0)) * self.bytes)
            if file.readinto(row.data) != self.bytes:
                raise DatasetError(
                    f"the cache file {file.name} was truncated",
                    "Clear it (iddm cache clear) and resume: iddm decodes the images again.",
                )
        return pixels

    def read_all(self) -> Tensor:
        """Return all images, uint8 or uint16 [N, C, H, W]."""
        return self.read(torch.arange(len(self)))

    def prefetch(self, index: Tensor) -> None:
        """Do nothing: the operating system reads ahead."""

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


class StreamStore:
    """Images that worker processes decode again in every epoch, ahead of training.

    Args:
        source: The dataset.
        items: Index in the source of each readable image, [N].
        spec: The preprocessing of each image.
        workers: Number of processes; 0 for one per processor core.
        timeout: Time limit for decoding one image, in seconds.
    """

    prefetch_steps = 2

    def __init__(
        self, source: Source, items: Sequence[int], spec: PixelSpec, *, workers: int, timeout: float
    ) -> None:
        self.source = source
        self.items = items
        self.spec = spec
        self.workers = WorkerPool(workers, timeout=timeout)
        self._prefetched: deque[tuple[list[int], list[PendingResults[PreparedImage | str]]]] = (
            deque()
        )

    def __len__(self) -> int:
        return len(self.items)

    def prefetch(self, index: Tensor) -> None:
        """Start to decode a batch, unless that has been done."""
        indices = index.tolist()
        if any(indices == prefetched for prefetched, _ in self._prefetched):
            return
        share = max(1, -(-len(indices) // self.workers.count))
        work = partial(prepare_image, self.spec)
        pieces = [indices[start : start + share] for start in range(0, len(indices), share)]
        pending = [
            self.workers.submit(work, [self.source.image(self.items[i]) for i in piece])
            for piece in pieces
        ]
        self._prefetched.append((indices, pending))

    def read(self, index: Tensor) -> Tensor:
        """Return images, uint8 or uint16 [B, C, H, W]; waits for those not decoded yet.

        Raises:
            DatasetError: An image can no longer be decoded.
        """
        self.prefetch(index)
        indices = index.tolist()
        position = next(i for i, (known, _) in enumerate(self._prefetched) if known == indices)
        _, pending = self._prefetched[position]
        del self._prefetched[position]
        outcomes = [outcome for piece in pending for outcome in piece.results()]
        planes = [self._planes(i, one) for i, one in zip(indices, outcomes, strict=True)]
        shape = (len(indices), self.spec.channels, *self.spec.size)
        dtype = pixel_dtype(self.spec.values)
        return torch.frombuffer(bytearray(b"".join(planes)), dtype=dtype).view(shape)

    def _planes(self, index: int, outcome: PreparedImage | str | WorkerFailure) -> bytes:
        if isinstance(outcome, PreparedImage):
            return outcome.planes
        reason = outcome.reason if isinstance(outcome, WorkerFailure) else outcome
        name = self.source.item_name(self.items[index])
        raise DatasetError(
            f"{name} could be decoded before, and no longer can: {reason}",
            "Restore the file, then continue with: iddm resume",
        )

    def close(self) -> None:
        """Stop the processes."""
        self.workers.close()
