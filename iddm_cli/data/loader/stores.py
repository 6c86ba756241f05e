"""Stores: where the pixels of a dataset wait, and how those of a batch are fetched from there.

Every store holds the same pixels for the same dataset; they differ in speed and memory.
"""

import os
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from iddm_cli.data.decoding.preprocess import PixelSpec, PreparedImage, prepare_image
from iddm_cli.data.decoding.workers import PendingResults, WorkerFailure, WorkerPool
from iddm_cli.data.sources.source import Source
from iddm_cli.errors import DatasetError

Shape = tuple[int, int, int]


class PixelStore(Protocol):
    """The pictures of a dataset, by their number."""

    prefetch_steps: int
    """Steps by which a batch should be announced."""

    def __len__(self) -> int: ...

    def read(self, index: Tensor) -> Tensor:
        """Return pictures, uint8, [B, C, H, W].

        Args:
            index: Their numbers, [B], int64, on the CPU.
        """

    def prefetch(self, index: Tensor) -> None:
        """Take note that these pictures will be read soon."""

    def close(self) -> None:
        """Free what the store holds."""


class MemoryStore:
    """Pictures in the memory of a device.

    Args:
        pixels: All of them, uint8, [N, C, H, W].
    """

    prefetch_steps = 0

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, index: Tensor) -> Tensor:
        """Return pictures, on the device they are on."""
        return self.pixels[index.to(self.pixels.device)]

    def prefetch(self, index: Tensor) -> None:
        """Do nothing: all are there."""

    def close(self) -> None:
        """Do nothing: the memory is freed with the store."""


class FileStore:
    """Pictures in the file of a pack, read when they are wanted.

    The file is read, not mapped: the system keeps it in memory as far as there is room, and this
    process stays as small as its batches.

    Args:
        path: uint8 [N, C, H, W], C-contiguous, no header.
        shape: Channels, height and width of a picture.
    """

    prefetch_steps = 0

    def __init__(self, path: Path, shape: Shape) -> None:
        self.shape = shape
        self.bytes = shape[0] * shape[1] * shape[2]
        self._file = path.open("rb", buffering=0)
        self._count = os.fstat(self._file.fileno()).st_size // self.bytes

    def __len__(self) -> int:
        return self._count

    def read(self, index: Tensor) -> Tensor:
        """Return pictures.

        Raises:
            DatasetError: The file was cut off since it was opened.
        """
        pixels = torch.empty((len(index), *self.shape), dtype=torch.uint8)
        rows = pixels.view(len(index), self.bytes).numpy()
        for row, number in zip(rows, index.tolist(), strict=True):
            self._file.seek(number * self.bytes)
            if self._file.readinto(row.data) != self.bytes:
                raise DatasetError(
                    f"The cache file {self._file.name} was cut off.",
                    "Clear it (iddm cache clear) and resume: the pictures are read again.",
                )
        return pixels

    def read_all(self) -> Tensor:
        """Return all pictures, uint8, [N, C, H, W]."""
        return self.read(torch.arange(len(self)))

    def prefetch(self, index: Tensor) -> None:
        """Do nothing: the system reads ahead."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class StreamStore:
    """Pictures that are decoded anew each time, by processes that work ahead of training.

    Args:
        source: The dataset.
        kept: Which pictures of the source can be read, [N].
        look: What each is brought to.
        workers: Processes; 0: one for each processor core.
        seconds: Longest time that decoding one picture may take.
    """

    prefetch_steps = 2

    def __init__(
        self, source: Source, kept: Sequence[int], look: PixelSpec, *, workers: int, seconds: float
    ) -> None:
        self.source = source
        self.kept = kept
        self.look = look
        self.workers = WorkerPool(workers, timeout=seconds)
        self._announced: deque[tuple[list[int], list[PendingResults[PreparedImage | str]]]] = (
            deque()
        )

    def __len__(self) -> int:
        return len(self.kept)

    def prefetch(self, index: Tensor) -> None:
        """Begin to decode a batch, unless that was done before."""
        numbers = index.tolist()
        if any(numbers == announced for announced, _ in self._announced):
            return
        share = max(1, -(-len(numbers) // self.workers.count))
        work = partial(prepare_image, self.look)
        pieces = [numbers[start : start + share] for start in range(0, len(numbers), share)]
        pending = [
            self.workers.submit(work, [self.source.image(self.kept[i]) for i in piece])
            for piece in pieces
        ]
        self._announced.append((numbers, pending))

    def read(self, index: Tensor) -> Tensor:
        """Return pictures, waiting for those not decoded yet.

        Raises:
            DatasetError: A picture cannot be decoded any more.
        """
        self.prefetch(index)
        numbers = index.tolist()
        place = next(i for i, (known, _) in enumerate(self._announced) if known == numbers)
        _, pending = self._announced[place]
        del self._announced[place]
        outcomes = [outcome for piece in pending for outcome in piece.results()]
        planes = [self._planes(i, one) for i, one in zip(numbers, outcomes, strict=True)]
        shape = (len(numbers), self.look.channels, *self.look.size)
        return torch.frombuffer(bytearray(b"".join(planes)), dtype=torch.uint8).view(shape)

    def _planes(self, number: int, outcome: PreparedImage | str | WorkerFailure) -> bytes:
        if isinstance(outcome, PreparedImage):
            return outcome.planes
        reason = outcome.reason if isinstance(outcome, WorkerFailure) else outcome
        raise DatasetError(
            f"{self.source.item_name(self.kept[number])} could be read before, and cannot now: "
            f"{reason}.",
            "Put it back as it was, and go on with: iddm resume",
        )

    def close(self) -> None:
        """End the processes."""
        self.workers.close()
