"""A denoiser whose estimate for an image does not depend on the rest of the batch, bit for bit.

The order in which a kernel sums depends on the batch shape and on the number of threads. The same
image sampled alone and in a batch therefore differs in its last bits: in float32 a pixel is
occasionally rounded differently, in bf16 images differ by several levels. Here the network only
sees blocks of one size; the last block is padded with zeros, each block is computed by one thread,
and several blocks are computed in parallel. Blocks of other sizes are used only if a trial at load
time shows that they give the same bits: smaller blocks save padding for a single image, larger
blocks are faster for many. The reference size is fixed and alone determines the bits.
"""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness
from iddm_cli.engine.acceleration.cuda_graphs import graph_calls


@dataclass(frozen=True)
class BlockSizes:
    """Batch sizes that the network may see.

    Attributes:
        reference: The size that determines the bits of every image.
        candidates: Further sizes, used where they give the same bits as the reference size.
        most_pixels: Pixels of a block for a thread's whole part of a batch, at most; 0: batches are
            always split.
    """

    reference: int
    candidates: tuple[int, ...]
    most_pixels: int = 0

    @property
    def largest(self) -> int:
        """The most images that are computed at once."""
        return max((self.reference, *self.candidates))


CPU_BLOCKS = BlockSizes(8, (4, 16), most_pixels=2**17)
"""On one thread, small networks reach 60 to 70 % of the throughput of large batches in blocks of 8,
and 75 to 85 % in blocks of 16."""

CPU_PIXELS = 2**15
"""Pixels of the reference block on the CPU, at most: for images above 64 x 64, larger blocks are
not faster (on one thread, 53 ms for one of 128 x 128 in bf16, and 48 to 59 ms each for 2 to 16),
and padding them costs as much again."""

SINGLE_IMAGES = BlockSizes(1, ())
"""No image shares a block with another, so that none can change its bits."""

CALLS_BEFORE_TRIAL = 8
"""Calls of a size before it is tried as one block, which takes the time of two calls or three."""

MOST_WHOLE_SIZES = 4
"""Sizes that are tried so."""

GPU_PIXELS = 2**18
"""Pixels of a block on a GPU: smaller blocks of a small network leave most of it idle."""

MOST_GPU_ROWS = 256


def choose_blocks(device: torch.device, height: int, width: int) -> BlockSizes:
    """Return the block sizes on a device, for images of a size."""
    find = find_cpu_blocks if device.type == "cpu" else find_gpu_blocks
    return find(height, width)


def find_cpu_blocks(height: int, width: int) -> BlockSizes:
    """Return the block sizes on the CPU: blocks of large images hold fewer of them."""
    rows = CPU_BLOCKS.reference
    while rows > 1 and rows * height * width > CPU_PIXELS:
        rows //= 2
    if rows == CPU_BLOCKS.reference:
        return CPU_BLOCKS
    return SINGLE_IMAGES if rows == 1 else BlockSizes(rows, (rows // 2, 2 * rows))


def find_gpu_blocks(height: int, width: int) -> BlockSizes:
    """Return the block sizes on a GPU: blocks of about as many pixels for every image size."""
    rows = MOST_GPU_ROWS
    while rows > 4 and rows * height * width > GPU_PIXELS:
        rows //= 2
    return BlockSizes(rows, tuple(sorted({max(1, rows // 16), max(1, rows // 4)})))


def split_into_blocks(count: int, sizes: Sequence[int], num_threads: int) -> list[int]:
    """Return block sizes that hold `count` rows.

    The blocks have the smallest size for which every block gets a thread of its own, else the
    largest size.

    Args:
        count: Number of rows, at least 1.
        sizes: Available block sizes, ascending.
        num_threads: Number of blocks computed in parallel.
    """
    size = next((size for size in sizes if math.ceil(count / size) <= num_threads), sizes[-1])
    blocks = [size] * (count // size)
    rest = count % size
    return blocks + ([next(size for size in sizes if size >= rest)] if rest else [])


def make_batch_invariant(
    denoiser: Denoiser, shape: tuple[int, int, int], blocks: BlockSizes | None = None
) -> "BatchInvariantDenoiser":
    """Return a denoiser such that an image does not depend on the rest of its batch.

    On the CPU as many blocks are computed in parallel as this process has threads.

    Args:
        denoiser: A denoiser in evaluation mode.
        shape: Channels, height and width of an image.
        blocks: Block sizes; None: those of the device for images of this size.
    """
    device = denoiser.schedule.alpha.device
    return BatchInvariantDenoiser(
        denoiser,
        shape,
        blocks=blocks or choose_blocks(device, *shape[1:]),
        num_threads=torch.get_num_threads() if device.type == "cpu" else 1,
    )


class BatchInvariantDenoiser:
    """A wrapper that splits batches of any size into blocks, see the module's docstring.

    Attributes:
        sizes: Block sizes in use, ascending.
        is_invariant: Whether the trial found no effect of other images on this machine.

    Args:
        denoiser: A denoiser in evaluation mode.
        shape: Channels, height and width of an image.
        blocks: Block sizes.
        num_threads: Number of blocks computed in parallel, each by one thread.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        shape: tuple[int, int, int],
        *,
        blocks: BlockSizes,
        num_threads: int,
    ) -> None:
        self._denoise = graph_calls(denoiser)
        self._denoiser, self._shape, self._reference = denoiser, shape, blocks.reference
        self._most_rows = blocks.most_pixels // math.prod(shape[1:])
        self._calls: Counter[int] = Counter()
        self._whole: dict[int, bool] = {}
        self.num_threads = num_threads
        self._pool = ThreadPoolExecutor(num_threads, "denoise", torch.set_num_threads, (1,))
        self.sizes: tuple[int, ...] = (blocks.reference,)
        self.is_invariant = True
        if blocks.largest > 1:
            self._try_sizes(blocks)

    def _try_sizes(self, blocks: BlockSizes) -> None:
        """Find out whether images change each other, and which sizes give the same bits."""
        trial = _trial_batch(self._denoiser, self._shape, blocks.largest)
        expected = self._run_in_equal_blocks(blocks.reference, *trial)
        self.is_invariant = self._check_invariance(*(rows[: blocks.reference] for rows in trial))
        agreeing = [
            size
            for size in blocks.candidates
            if torch.equal(self._run_in_equal_blocks(size, *trial), expected)
        ]
        self.sizes = tuple(sorted([blocks.reference, *agreeing]))

    def __call__(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Estimate x from x_t, [B, C, H, W], at times t, [B], given labels, [B]."""
        size = math.ceil(len(x_t) / self.num_threads)
        if self._is_usable_whole(size):
            return self._run_in_equal_blocks(size, x_t, t, label)
        return self._run(split_into_blocks(len(x_t), self.sizes, self.num_threads), x_t, t, label)

    def _is_usable_whole(self, size: int) -> bool:
        """Return whether each thread may compute so many rows, its part of a batch, in one block.

        That is tried once, when batches of this size have come often enough.
        """
        if not self.sizes[-1] < size <= self._most_rows:
            return False
        self._calls[size] += 1
        is_due = self._calls[size] == CALLS_BEFORE_TRIAL and len(self._whole) < MOST_WHOLE_SIZES
        if is_due:
            trial = _trial_batch(self._denoiser, self._shape, size)
            whole, split = (self._run_in_equal_blocks(n, *trial) for n in (size, self._reference))
            self._whole[size] = torch.equal(whole, split)
        return self._whole.get(size, False)

    def _run_in_equal_blocks(self, size: int, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self._run([size] * math.ceil(len(x_t) / size), x_t, t, label)

    @torch.inference_mode()
    def _run(self, blocks: list[int], x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        total = sum(blocks)
        inputs = zip(*(_pad(rows, total).split(blocks) for rows in (x_t, t, label)), strict=True)
        denoised = self._pool.map(lambda block: self._denoise_block(*block), inputs)
        return torch.cat(list(denoised))[: len(x_t)]

    @torch.inference_mode()  # the mode belongs to a thread, and this runs in the pool's
    def _denoise_block(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        return self._denoise(x_t, t, label)

    def _check_invariance(self, x_t: Tensor, t: Tensor, label: Tensor) -> bool:
        """Return whether a row's result is independent of its position and of the other rows."""
        batched = self(x_t, t, label)
        rolled = self(x_t.roll(1, 0), t.roll(1), label.roll(1)).roll(-1, 0)
        alone = self(x_t[:1], t[:1], label[:1])
        return torch.equal(batched, rolled) and torch.equal(batched[:1], alone)


def _pad(rows: Tensor, total: int) -> Tensor:
    """Append zeros until there are `total` rows."""
    missing = rows.new_zeros((total - len(rows), *rows.shape[1:]))
    return torch.cat([rows, missing])


def _trial_batch(
    denoiser: Denoiser, shape: tuple[int, int, int], count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return noise at times across the schedule, all with label 0: a label only adds a vector."""
    alpha = denoiser.schedule.alpha
    items = torch.arange(count, device=alpha.device)
    x_t = randomness.normal(0, "trial", items=items, step=0, shape=shape)
    return x_t, items * (len(alpha) - 1) // count, torch.zeros_like(items)
