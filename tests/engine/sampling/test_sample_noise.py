"""The noise of an image: its own in each class, and on the sphere between two images."""

import math

import pytest
import torch

from iddm_cli.engine import randomness
from iddm_cli.engine.sampling.sample_noise import (
    ITEMS,
    NoisePath,
    interpolate_spherically,
    own_noise_index,
    sample_noise,
)

SHAPE = (3, 8, 8)
CPU = torch.device("cpu")


def noise(*items, seed=0) -> torch.Tensor:
    return sample_noise(seed, "sample", items=items, step=0, shape=SHAPE, device=CPU)


def test_the_rule_is_the_documented_one():
    assert own_noise_index(0, 7) == 7
    assert own_noise_index(1, 7) == 2_654_435_776
    assert own_noise_index(3, 5) == (5 + 3 * 2_654_435_769) % 2**32


@pytest.mark.parametrize("classes", [2, 3, 10, 144, 1000, 10_946])
def test_no_two_images_of_a_data_set_share_their_noise(classes):
    """Of a million images; the classes lie evenly on the circle of all items."""
    starts = sorted(own_noise_index(label, 0) for label in range(classes))
    gaps = [b - a for a, b in zip(starts, [*starts[1:], starts[0] + ITEMS], strict=True)]
    assert min(gaps) > ITEMS / (math.sqrt(5) * classes) * 0.99
    assert min(gaps) * classes > 1_000_000


def test_a_number_means_the_noise_of_that_item():
    expected = randomness.normal(5, "sample", items=torch.tensor([9, 2]), step=0, shape=SHAPE)
    assert torch.equal(noise(9, 2, seed=5), expected)
    assert torch.equal(noise(2, seed=5)[0], expected[1])


def test_a_path_begins_and_ends_exactly_at_two_images():
    ends = noise(3, 8)
    found = noise(NoisePath(3, 8, 0.0), NoisePath(3, 8, 1.0), NoisePath(3, 8, 0.5), 3)
    assert torch.equal(found[:2], ends)
    assert torch.equal(found[3], ends[0])
    alone = noise(NoisePath(3, 8, 0.5))
    assert torch.equal(alone[0], found[2])


def test_between_the_ends_the_angle_grows_evenly_and_the_length_stays():
    a, b = noise(1, 2).flatten(1).double()
    whole = torch.acos(a @ b / (a.norm() * b.norm()))
    for position in (0.25, 0.5, 0.9):
        found = noise(NoisePath(1, 2, position)).flatten().double()
        angle = torch.acos(found @ a / (found.norm() * a.norm()))
        assert angle / whole == pytest.approx(position, abs=0.03), "lengths of a and b differ"
        assert found.norm() / a.norm() == pytest.approx(1, abs=0.1), "a line would give 0.71"


def test_of_equally_long_noises_the_path_is_a_great_circle():
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = interpolate_spherically(start, end, torch.tensor([1 / 3]))
    torch.testing.assert_close(found, torch.tensor([[math.cos(math.pi / 6), 0.5]]))
