"""Blocks of few sizes, and the trial that decides which sizes may be used."""

import pytest
import torch

from iddm_cli.engine.reduced_precision.batch_invariant import (
    CPU_BLOCKS,
    GPU_PIXELS,
    MOST_GPU_ROWS,
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


def test_blocks_on_a_gpu_have_equally_many_pixels():
    assert find_gpu_blocks(32, 32).reference == MOST_GPU_ROWS
    for side in (64, 128, 200, 256):
        blocks = find_gpu_blocks(side, side)
        assert blocks.reference * side**2 <= GPU_PIXELS < 2 * blocks.reference * side**2
        assert all(1 <= size < blocks.reference for size in blocks.candidates)
    assert find_gpu_blocks(1024, 1024).reference == 4


def test_the_most_images_at_once_are_those_of_the_largest_block():
    assert choose_blocks(torch.device("cpu"), 64, 64).largest == 16
    gpu = choose_blocks(torch.device("cuda"), 64, 64)
    assert gpu == find_gpu_blocks(64, 64)
    assert gpu.largest == gpu.reference
