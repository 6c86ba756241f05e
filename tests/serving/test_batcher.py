"""A picture is the same, to the last bit, whoever it is drawn beside, and whenever it joined."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.serving.scheduling.batch_invariant import (
    CPU_BLOCKS,
    BatchInvariantDenoiser,
    split_into_blocks,
)
from iddm_cli.serving.scheduling.batcher import InFlightSample, round_robin

from .conftest import make_model


def sample(model, *, label=0, seed=0, index=0, **settings) -> InFlightSample:
    asked = {"sampler": None, "steps": None, "guidance": None} | settings
    return InFlightSample(model.plan(model.settings(**asked), label=label, seed=seed), index)


def finish(model, *samples: InFlightSample) -> None:
    while going := [one for one in samples if not one.finished]:
        model.advance(going)


KINDS = [
    {},
    {"guidance": 1.0},
    {"sampler": "ddpm", "steps": 9},
    {"sampler": "dpmpp-2m", "steps": 6},
    {"seed": 7, "index": 3, "label": 2},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_picture_is_the_same_alone_and_among_others(model, kind):
    alone, among = sample(model, **kind), sample(model, **kind)
    finish(model, alone)
    others = [sample(model, seed=9, index=i, **more) for i, more in enumerate(KINDS[:4] * 6)]
    model.advance(others[:7])
    finish(model, *others[:7], among, *others[7:])
    assert torch.equal(alone.x_t, among.x_t)


def test_a_picture_that_waits_between_its_steps_is_the_same(model):
    plain = sample(model, sampler="ddpm", steps=12)
    paused = sample(model, sampler="ddpm", steps=12)
    finish(model, plain)
    while not paused.finished:
        model.advance([paused])
        model.advance([sample(model, index=5)])
    assert torch.equal(plain.x_t, paused.x_t)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_it_is_the_picture_that_iddm_generate_draws(model, kind):
    kind = dict(kind)
    label, seed, index = (kind.pop(key, 0) for key in ("label", "seed", "index"))
    settings = model.settings(**({"sampler": None, "steps": None, "guidance": None} | kind))
    generator = ImageGenerator(model.denoiser, settings, num_classes=3, shape=model.shape)
    expected = generator.generate_batch([SampleSpec(label, index)], seed)[0].int()
    served = sample(model, label=label, seed=seed, index=index, **kind)
    finish(model, served)
    assert (to_pixels(served.x_t).permute(1, 2, 0).int() - expected).abs().max() <= 1


def test_a_model_without_classes_draws_too():
    plain = make_model("plain", classes=())
    one = sample(plain)
    finish(plain, one)
    generator = ImageGenerator(plain.denoiser, plain.sampling, num_classes=0, shape=plain.shape)
    expected = generator.generate_batch([SampleSpec(0, 0)], 0)[0].int()
    assert (to_pixels(one.x_t).permute(1, 2, 0).int() - expected).abs().max() <= 1


def test_only_pictures_that_follow_something_have_a_second_half(model):
    asked = []

    def spied(of):
        def exact(x_t, t, label):
            asked.append(len(x_t))
            return of.exact(x_t, t, label)

        return replace(of, exact=exact)

    spied(model).advance([sample(model, guidance=1.0), sample(model, guidance=2.0), sample(model)])
    plain = make_model("plain", classes=())
    spied(plain).advance([sample(plain, guidance=2.0)])
    assert asked == [5, 1]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 17, 31])
def test_the_network_sees_blocks_of_few_sizes(model, count):
    seen = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, asked: seen.append(len(asked[0])))
    x_t = torch.randn(count, *model.shape)
    said = model.exact(x_t, torch.arange(count), torch.zeros(count, dtype=torch.int64))
    hook.remove()
    assert said.shape == x_t.shape
    assert set(seen) <= set(model.exact.sizes)
    assert sum(seen) >= count


def test_cutting_uses_every_lane_and_wastes_less_than_a_block():
    assert split_into_blocks(1, (4, 8), 2) == [4]
    assert split_into_blocks(8, (4, 8), 2) == [4, 4]
    assert split_into_blocks(9, (4, 8), 2) == [8, 4]
    assert split_into_blocks(17, (4, 8), 2) == [8, 8, 4]
    assert split_into_blocks(22, (4, 8), 2) == [8, 8, 8]
    assert split_into_blocks(3, (8,), 4) == [8]
    assert split_into_blocks(64, (4, 8, 16), 2) == [16, 16, 16, 16]


class Meddling(torch.nn.Module):
    """A denoiser whose every picture depends on the whole batch, and on its size."""

    def __init__(self, model, by_size: bool) -> None:
        super().__init__()
        self.schedule = model.denoiser.schedule
        self.by_size = by_size

    def forward(self, x_t, t, label):
        return x_t * (1.0 + 1e-6 * len(x_t)) if self.by_size else x_t + 1e-6 * x_t.mean()


def test_a_trial_finds_neighbours_that_matter(model):
    meddling = BatchInvariantDenoiser(
        Meddling(model, by_size=False), model.shape, blocks=CPU_BLOCKS, num_threads=1
    )
    assert not meddling.is_invariant


def test_a_trial_finds_blocks_that_round_differently(model):
    differing = BatchInvariantDenoiser(
        Meddling(model, by_size=True), model.shape, blocks=CPU_BLOCKS, num_threads=1
    )
    assert (differing.sizes, differing.is_invariant) == ((8,), True)


def test_sharing_out_is_by_turns():
    assert round_robin(["abc", "d", "ef"], 5) == ["a", "d", "e", "b", "f"]
    assert round_robin([], 5) == []
