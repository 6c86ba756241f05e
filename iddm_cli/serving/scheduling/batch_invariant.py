"""A denoiser that says the same of a picture, to the last bit, whoever its neighbours are.

In which order a kernel sums follows from the shape of its batch and from the number of threads,
so that a picture drawn alone differs in last bits from the same one drawn among others, and now
and then a pixel is rounded the other way. Here the network sees blocks of one size, the last
filled up with zeros, and each block is computed by one thread; several blocks are computed at
once. Blocks of other sizes are used where a trial shows that they give the same bits: smaller
ones spare a single picture the filling, larger ones are faster for many. Which bits these are is
decided by the one size, which is fixed.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness


@dataclass(frozen=True)
class BlockSizes:
    """Sizes of blocks: the one that decides the bits, and those that are tried beside it."""

    usual: int
    others: tuple[int, ...]


CPU_BLOCKS = BlockSizes(8, (4, 16))
"""Blocks of 8 reach nine tenths of the throughput of large batches, on one thread."""

GPU_BLOCKS = BlockSizes(16, (8, 64))


def split_into_blocks(count: int, sizes: Sequence[int], num_threads: int) -> list[int]:
    """Cut so many rows into blocks: small ones while there is a lane for each, then large ones.

    Args:
        count: Rows, 1 or more.
        sizes: Sizes of blocks, rising.
        num_threads: Blocks that are computed at once.
    """
    usual = next((size for size in sizes if math.ceil(count / size) <= num_threads), sizes[-1])
    blocks = [usual] * (count // usual)
    rest = count % usual
    return blocks + ([next(size for size in sizes if size >= rest)] if rest else [])


class BatchInvariantDenoiser:
    """A denoiser around a denoiser; it can be asked about any number of pictures.

    Attributes:
        sizes: The sizes of blocks in use, rising.
        holds: Whether a trial found that neighbours change nothing on this machine.

    Args:
        denoiser: In evaluation mode.
        shape: Channels, height and width of a picture.
        blocks: Sizes of blocks.
        num_threads: Blocks that are computed at once, each by one thread.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shape: tuple[int, int, int],
        *,
        blocks: BlockSizes,
        num_threads: int,
    ) -> None:
        self.denoiser = denoiser
        self.num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, "lane", torch.set_num_threads, (1,))
        self.sizes: tuple[int, ...] = (blocks.usual,)
        trial = _trial(denoiser, shape, max(blocks.usual, *blocks.others))
        said = self(*trial)
        self.is_invariant = self._neighbours_do_not_matter(
            *(rows[: blocks.usual] for rows in trial)
        )
        same = [size for size in blocks.others if torch.equal(self._in_blocks(size, *trial), said)]
        self.sizes = tuple(sorted([blocks.usual, *same]))

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t, [B, C, H, W]."""
        return self._run(split_into_blocks(len(x_t), self.sizes, self.num_threads), x_t, t, label)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _in_blocks(self, size: int, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self._run([size] * math.ceil(len(x_t) / size), x_t, t, label)

    @torch.inference_mode()
    def _run(self, blocks: list[int], x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        room = sum(blocks)
        asked = zip(*(_filled(rows, room).split(blocks) for rows in (x_t, t, label)), strict=True)
        said = self._pool.map(lambda block: self._block(*block), asked)
        return torch.cat(list(said))[: len(x_t)]

    @torch.inference_mode()
    def _block(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self.denoiser(x_t, t, label)

    def _neighbours_do_not_matter(self, x_t: Tensor, t: Tensor, label: Tensor) -> bool:
        among = self(x_t, t, label)
        moved = self(x_t.roll(1, 0), t.roll(1), label.roll(1)).roll(-1, 0)
        alone = self(x_t[:1], t[:1], label[:1])
        return torch.equal(among, moved) and torch.equal(among[:1], alone)


def _filled(rows: Tensor, room: int) -> Tensor:
    missing = rows.new_zeros((room - len(rows), *rows.shape[1:]))
    return torch.cat([rows, missing])


def _trial(
    denoiser: Denoiser, shape: tuple[int, int, int], count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return noise at times all over the schedule, without labels: they only add a vector."""
    alpha = denoiser.schedule.alpha
    items = torch.arange(count, device=alpha.device)
    x_t = randomness.normal(0, "trial", items=items, step=0, shape=shape)
    return x_t, items * (len(alpha) - 1) // count, torch.zeros_like(items)
