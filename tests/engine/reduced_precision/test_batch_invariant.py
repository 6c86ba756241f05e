"""Blocks of few sizes, and the trial that decides which sizes may be used."""

import pytest
import torch

from iddm_cli.engine.reduced_precision.batch_invariant import (
    CALLS_BEFORE_TRIAL,
    CPU_BLOCKS,
    GPU_PIXELS,
    MOST_GPU_ROWS,
    SINGLE_IMAGES,
    BatchInvariantDenoiser,
    choose_blocks,
    find_gpu_blocks,
    split_into_blocks,
)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 17, 31])
def test_the_network_sees_blocks_of_few_sizes(generator, count):
    denoiser = generator.denoiser.eval()
    batched = BatchInvariantDenoiser(denoiser, generator.shape, blocks=CPU_BLOCKS, num_threads=2)
    seen = []
    denoiser.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    x_t = torch.randn(count, *generator.shape)
    labels = torch.zeros(count, dtype=torch.int64)
    denoised = batched(x_t, torch.arange(count), labels)
    assert denoised.shape == x_t.shape
    assert set(seen) <= set(batched.sizes)
    assert sum(seen) >= count


def test_splitting_uses_every_thread_and_wastes_less_than_a_block():
    assert split_into_blocks(1, (4, 8), 2) == [4]
    assert split_into_blocks(8, (4, 8), 2) == [4, 4]
    assert split_into_blocks(9, (4, 8), 2) == [8, 4]
    assert split_into_blocks(17, (4, 8), 2) == [8, 8, 4]
    assert split_into_blocks(22, (4, 8), 2) == [8, 8, 8]
    assert split_into_blocks(3, (8,), 4) == [8]
    assert split_into_blocks(64, (4, 8, 16), 2) == [16, 16, 16, 16]


class BatchDependentDenoiser(torch.nn.Module):
    """A denoiser whose estimates depend on the other images of the batch, or on its size."""

    def __init__(self, generator, by_size: bool) -> None:
        super().__init__()
        self.schedule = generator.denoiser.schedule
        self.by_size = by_size

    def forward(self, x_t, t, label):
        return x_t * (1.0 + 1e-6 * len(x_t)) if self.by_size else x_t + 1e-6 * x_t.mean()


def test_the_trial_finds_a_dependence_on_other_images(generator):
    dependent = BatchDependentDenoiser(generator, by_size=False)
    wrapped = BatchInvariantDenoiser(dependent, generator.shape, blocks=CPU_BLOCKS, num_threads=1)
    assert not wrapped.is_invariant


def test_the_trial_finds_block_sizes_that_give_other_bits(generator):
    dependent = BatchDependentDenoiser(generator, by_size=True)
    wrapped = BatchInvariantDenoiser(dependent, generator.shape, blocks=CPU_BLOCKS, num_threads=1)
    assert (wrapped.sizes, wrapped.is_invariant) == ((8,), True)


class RowwiseDenoiser(torch.nn.Module):
    """A denoiser whose estimates have the same bits in every batch."""

    def __init__(self, generator) -> None:
        super().__init__()
        self.schedule = generator.denoiser.schedule
        self.seen: list[int] = []

    def forward(self, x_t, t, label):
        self.seen.append(len(x_t))
        return x_t * 0.5 + t.view(-1, 1, 1, 1)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_batches_that_come_again_are_computed_whole(generator, num_threads):
    denoiser = RowwiseDenoiser(generator)
    batched = BatchInvariantDenoiser(
        denoiser, generator.shape, blocks=CPU_BLOCKS, num_threads=num_threads
    )
    denoiser.seen.clear()
    x_t = torch.randn(33 * num_threads, *generator.shape)
    inputs = (x_t, torch.arange(len(x_t)), torch.zeros(len(x_t), dtype=torch.int64))
    first = batched(*inputs)
    assert max(denoiser.seen) <= 16
    for _ in range(CALLS_BEFORE_TRIAL):
        last = batched(*inputs)
    assert denoiser.seen[-num_threads:] == [33] * num_threads
    assert torch.equal(first, last)
    rows = CPU_BLOCKS.most_pixels // (generator.shape[1] * generator.shape[2])
    assert not any(batched._is_usable_whole(rows + 1) for _ in range(2 * CALLS_BEFORE_TRIAL))


def test_batches_are_split_where_whole_ones_give_other_bits(generator):
    dependent = BatchDependentDenoiser(generator, by_size=True)
    wrapped = BatchInvariantDenoiser(dependent, generator.shape, blocks=CPU_BLOCKS, num_threads=1)
    x_t = torch.randn(20, *generator.shape)
    t = labels = torch.zeros(20, dtype=torch.int64)
    results = [wrapped(x_t, t, labels) for _ in range(CALLS_BEFORE_TRIAL + 1)]
    assert all(torch.equal(one, results[0]) for one in results)


def test_blocks_on_a_gpu_have_equally_many_pixels():
    assert find_gpu_blocks(32, 32).reference == MOST_GPU_ROWS
    for side in (64, 128, 200, 256):
        blocks = find_gpu_blocks(side, side)
        assert blocks.reference * side**2 <= GPU_PIXELS < 2 * blocks.reference * side**2
        assert all(1 <= size < blocks.reference for size in blocks.candidates)
    assert find_gpu_blocks(1024, 1024).reference == 4


def test_blocks_of_large_images_on_the_cpu_hold_fewer_of_them():
    def choose(height, width):
        return choose_blocks(torch.device("cpu"), height, width)

    assert choose(64, 64) == choose(32, 128) == CPU_BLOCKS
    assert (choose(64, 65).reference, choose(64, 65).candidates) == (4, (2, 8))
    assert (choose(128, 128).reference, choose(128, 128).candidates) == (2, (1, 4))
    assert choose(128, 129) == choose(300, 2000) == SINGLE_IMAGES
    assert SINGLE_IMAGES.largest == 1


def test_images_that_are_computed_alone_need_no_trial(generator):
    denoiser = RowwiseDenoiser(generator)
    batched = BatchInvariantDenoiser(denoiser, generator.shape, blocks=SINGLE_IMAGES, num_threads=1)
    assert (batched.is_invariant, batched.sizes, denoiser.seen) == (True, (1,), [])
    labels = torch.zeros(3, dtype=torch.int64)
    batched(torch.randn(3, *generator.shape), torch.arange(3), labels)
    assert denoiser.seen == [1, 1, 1]


def test_the_most_images_at_once_are_those_of_the_largest_block():
    assert choose_blocks(torch.device("cpu"), 64, 64).largest == 16
    gpu = choose_blocks(torch.device("cuda"), 64, 64)
    assert gpu == find_gpu_blocks(64, 64)
    assert gpu.largest == gpu.reference
