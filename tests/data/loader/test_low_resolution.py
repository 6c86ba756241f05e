"""Low-resolution images: antialiased, with noise that is a function of step and slot."""

import itertools

import pytest
import torch

from iddm_cli.data.loader.low_resolution import (
    LowResolutionCondition,
    add_noise,
    build_condition,
    enlarge,
    reduce_size,
)
from iddm_cli.engine import randomness


def make_condition(*, factor=4, highest_noise=0.5, seed=0) -> LowResolutionCondition:
    return LowResolutionCondition(
        factor,
        highest_noise,
        lambda purpose, step, slots: randomness.uniform(seed, purpose, items=slots, step=step),
        lambda purpose, step, slots, shape: randomness.normal(
            seed, purpose, items=slots, step=step, shape=shape
        ),
    )


def make_images(count=6, side=16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, side, side, generator=generator) * 2 - 1


def test_a_smaller_image_has_the_mean_of_what_it_stands_for():
    stripes = torch.tensor([1.0, -1.0, -1.0, 1.0]).repeat(8).expand(1, 1, 32, 32)
    assert reduce_size(stripes, 4).abs()[..., 2:-2].max() < 0.05, "no stripe survives as an alias"
    grey = torch.full((1, 3, 8, 12), 0.25)
    torch.testing.assert_close(reduce_size(grey, 4), torch.full((1, 3, 2, 3), 0.25))
    torch.testing.assert_close(enlarge(reduce_size(grey, 4), 4), grey)


def test_noise_of_a_level_keeps_the_variance():
    low, noise = torch.randn(2, 4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    level = torch.tensor([0.0, 0.3, 0.7, 1.0])
    noisy = add_noise(low, level, noise)
    torch.testing.assert_close(noisy[0], low[0])
    torch.testing.assert_close(noisy[3], noise[3])
    assert (noisy.flatten(1).std(1) - 1).abs().max() < 0.05
    correlation = (noisy * noise).flatten(1).mean(1)
    torch.testing.assert_close(correlation, level, atol=0.06, rtol=0)


def test_the_condition_is_the_enlarged_image_and_its_level():
    low, level = make_images(2, 4), torch.tensor([0.0, 0.25])
    condition = build_condition(low, level, 4)
    assert condition.shape == (2, 2, 16, 16)
    assert torch.equal(condition[:, :1], enlarge(low, 4))
    assert torch.equal(condition[:, 1], level.view(2, 1, 1).expand(2, 16, 16))


def test_levels_cover_the_range_and_zero_adds_no_noise():
    slots = torch.arange(200)
    levels = make_condition()(make_images(200, 8), 3, slots)[:, -1, 0, 0]
    assert levels.min() < 0.02 < 0.48 < levels.max() < 0.5
    clean = make_condition(highest_noise=0.0)(make_images(), 3, torch.arange(6))
    assert torch.equal(clean[:, :1], enlarge(reduce_size(make_images(), 4), 4))


@pytest.mark.parametrize("size", [1, 4])
def test_every_split_of_a_batch_gets_the_same_bits(size):
    x, slots, condition = make_images(), torch.arange(6), make_condition()
    whole = condition(x, 7, slots)
    parts = [condition(x[some], 7, some) for some in slots.split(size)]
    assert torch.equal(torch.cat(parts), whole)


def test_step_slot_and_seed_each_change_the_noise():
    x = make_images(1)

    def draw(step=0, slot=0, seed=0):
        return make_condition(seed=seed)(x, step, torch.tensor([slot]))

    drawn = [draw(), draw(step=1), draw(slot=1), draw(seed=1)]
    for a, b in itertools.combinations(drawn, 2):
        assert not torch.equal(a[:, :1], b[:, :1])
        assert not torch.equal(a[:, 1:], b[:, 1:])
