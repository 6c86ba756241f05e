"""A denoiser that says the same of a picture, to the last bit, whoever its neighbours are.

In which order a kernel sums follows from the shape of its batch and from the number of threads,
so that a picture drawn alone differs in last bits from the same one drawn among others, and now
and then a pixel is rounded the other way. Here the network only ever sees blocks of one size, the
last filled up with zeros, and each block is computed by one thread; several blocks are computed
at once. Smaller blocks, which spare a single picture the filling, are used where a trial shows
that they give the same bits; the size of the large ones is what decides the bits, and is fixed.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness

ON_CPU = (4, 8)
"""Blocks of 8 reach nine tenths of the throughput of large batches, and 4 is their half."""

ON_GPU = (8, 16, 64)


def cut(count: int, sizes: Sequence[int], lanes: int) -> list[int]:
    """Cut so many rows into blocks: small ones while there is a lane for each, then large ones.

    Args:
        count: Rows, 1 or more.
        sizes: Sizes of blocks, rising.
        lanes: Blocks that are computed at once.
    """
    usual = next((size for size in sizes if math.ceil(count / size) <= lanes), sizes[-1])
    blocks = [usual] * (count // usual)
    rest = count % usual
    return blocks + ([next(size for size in sizes if size >= rest)] if rest else [])


class Exact:
    """A denoiser around a denoiser; it can be asked about any number of pictures.

    Attributes:
        sizes: The sizes of blocks in use, rising.
        holds: Whether a trial found that neighbours change nothing on this machine.

    Args:
        denoiser: In evaluation mode.
        shape: Channels, height and width of a picture.
        sizes: Sizes of blocks, rising; the largest decides the bits.
        lanes: Blocks that are computed at once, each by one thread.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shape: tuple[int, int, int],
        *,
        sizes: tuple[int, ...],
        lanes: int,
    ) -> None:
        self.denoiser = denoiser
        self.lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (1,))
        self.sizes = sizes[-1:]
        trial = _trial(denoiser, shape, sizes[-1])
        self.holds = self._neighbours_do_not_matter(*trial)
        self.sizes = (*(size for size in sizes[:-1] if self._agrees(size, *trial)), sizes[-1])

    @torch.inference_mode()
    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t, [B, C, H, W]."""
        blocks = cut(len(x_t), self.sizes, self.lanes)
        room = sum(blocks)
        asked = zip(*(_filled(rows, room).split(blocks) for rows in (x_t, t, label)), strict=True)
        said = self._pool.map(lambda block: self._block(*block), asked)
        return torch.cat(list(said))[: len(x_t)]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    @torch.inference_mode()
    def _block(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self.denoiser(x_t, t, label)

    def _neighbours_do_not_matter(self, x_t: Tensor, t: Tensor, label: Tensor) -> bool:
        among = self(x_t, t, label)
        moved = self(x_t.roll(1, 0), t.roll(1), label.roll(1)).roll(-1, 0)
        alone = self(x_t[:1], t[:1], label[:1])
        return torch.equal(among, moved) and torch.equal(among[:1], alone)

    def _agrees(self, size: int, x_t: Tensor, t: Tensor, label: Tensor) -> bool:
        parts = zip(x_t.split(size), t.split(size), label.split(size), strict=True)
        said = [future.result() for future in [self._pool.submit(self._block, *p) for p in parts]]
        return torch.equal(torch.cat(said), self(x_t, t, label))


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
