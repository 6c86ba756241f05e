"""What a network reads of a smaller image; how the result looks is tested with the upscaler."""

import pytest
import torch

from iddm_cli.engine.sampling.enlargement import Enlargement, LowResolutionSource

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("divisor", "size", "padded"),
    [(1, (3, 5), (6, 10)), (2, (3, 5), (6, 10)), (4, (3, 5), (8, 12)), (8, (4, 5), (8, 16))],
)
def test_sizes_are_padded_until_the_network_can_divide_them(divisor, size, padded):
    enlargement = Enlargement(2, divisor)
    assert enlargement.find_size(size) == (2 * size[0], 2 * size[1])
    assert enlargement.find_padded_size(size) == padded
    low = torch.rand(2, 3, *size)
    condition = enlargement.build_condition(low, [1, 2], seed=0, noise_level=0.25, device=CPU)
    assert condition.shape == (2, 4, *padded)
    assert (condition[:, 3] == 0.25).all(), "the level is the last channel"


def test_the_condition_of_an_image_is_the_same_alone_and_in_a_batch():
    enlargement, low = Enlargement(2, 4), torch.rand(3, 1, 3, 5)
    together = enlargement.build_condition(low, [7, 8, 9], seed=1, noise_level=0.2, device=CPU)
    source = LowResolutionSource(low[1], enlargement, 0.2)
    assert torch.equal(source.build_condition([8], 1, (8, 12), CPU)[0], together[1])
    assert not torch.equal(source.build_condition([9], 1, (8, 12), CPU)[0], together[1])
    assert not torch.equal(source.build_condition([8], 2, (8, 12), CPU)[0], together[1])
