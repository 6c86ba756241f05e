"""A sample's image is the same, bit for bit, whatever shares its batch and whenever it joined."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.build.serving import build_served_model
from iddm_cli.engine.image_generator import (
    ImageGenerator,
    SampleSpec,
    specify_with_own_noise,
    to_pixels,
)
from iddm_cli.engine.sampling.upscaler import Upscaler
from iddm_cli.serving.scheduling.batcher import InFlightSample, TurnOrder, round_robin
from tests.serving.conftest import CLASSES, make_model, make_upscaler

from .conftest import DEFAULTS, make_sample, make_upscale_job

KINDS = [
    {},
    {"guidance": 1.0},
    {"sampler": "ipndm", "steps": 6},
    {"sampler": "unipc", "order": 3, "steps": 5, "time_grid": "log-snr"},
    {"guidance_interval": [0.3, 0.97]},
    {"guidance": 6.0, "guidance_rescale": 0.7, "threshold": 0.9},
    {"sampler": "ddpm", "steps": 9},
    {"sampler": "dpmpp-2m-sde", "steps": 6},
    {"sampler": "plms", "steps": 7},
    {"sampler": "heun", "steps": 7},
    {"seed": 7, "index": 3, "label": 2},
]


def finish(model, *samples: InFlightSample) -> None:
    while unfinished := [sample for sample in samples if not sample.finished]:
        model.advance(unfinished)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_sample_is_the_same_alone_and_in_a_batch(model, kind):
    alone, batched = make_sample(model, **kind), make_sample(model, **kind)
    finish(model, alone)
    others = [make_sample(model, seed=9, index=i, **more) for i, more in enumerate(KINDS[:5] * 6)]
    model.advance(others[:7])
    finish(model, *others[:7], batched, *others[7:])
    assert torch.equal(alone.x_t, batched.x_t)


def test_a_sample_that_waits_between_its_steps_is_the_same(model):
    plain = make_sample(model, sampler="ddpm", steps=12)
    paused = make_sample(model, sampler="ddpm", steps=12)
    finish(model, plain)
    while not paused.finished:
        model.advance([paused])
        model.advance([make_sample(model, index=5)])
    assert torch.equal(plain.x_t, paused.x_t)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_image_is_that_of_iddm_generate(model, kind):
    kind = dict(kind)
    label, seed, index = (kind.pop(key, 0) for key in ("label", "seed", "index"))
    settings = model.resolve_sampling(**DEFAULTS | kind)
    generator = ImageGenerator(model.denoiser, settings, num_classes=3, shape=model.shape)
    expected = generator.generate_batch([SampleSpec(label, index)], seed)[0].int()
    served = make_sample(model, label=label, seed=seed, index=index, **kind)
    finish(model, served)
    assert (to_pixels(served.x_t).permute(1, 2, 0).int() - expected).abs().max() <= 1


def test_own_noise_gives_the_image_of_iddm_generate(model):
    settings = model.resolve_sampling("ddpm", 4, None)
    generator = ImageGenerator(model.denoiser, settings, num_classes=3, shape=model.shape)
    expected = generator.generate_batch([specify_with_own_noise(2, 5)], 1)[0].int()
    served = make_sample(model, label=2, seed=1, index=5, own_noise=True, sampler="ddpm", steps=4)
    finish(model, served)
    assert (to_pixels(served.x_t).permute(1, 2, 0).int() - expected).abs().max() <= 1
    same = generator.generate_batch([SampleSpec(2, 5)], 1)[0].int()
    assert (same - expected).abs().max() > 1


def test_a_model_without_classes_generates_the_same_image():
    plain = make_model("plain", classes=())
    sample = make_sample(plain)
    finish(plain, sample)
    generator = ImageGenerator(plain.denoiser, plain.sampling, num_classes=0, shape=plain.shape)
    expected = generator.generate_batch([SampleSpec(0, 0)], 0)[0].int()
    assert (to_pixels(sample.x_t).permute(1, 2, 0).int() - expected).abs().max() <= 1


def test_only_samples_with_guidance_have_an_unconditional_half(model):
    batch_sizes = []

    def spy_on(spied):
        def denoise(x_t, t, label):
            batch_sizes.append(len(x_t))
            return spied.batch_denoiser(x_t, t, label)

        return replace(spied, batch_denoiser=denoise)

    guidance = [{"guidance": 1.0}, {"guidance": 2.0}, {}]
    spy_on(model).advance([make_sample(model, **kind) for kind in guidance])
    plain = make_model("plain", classes=())
    spy_on(plain).advance([make_sample(plain, guidance=2.0)])
    assert batch_sizes == [5, 1]
    early = [{"guidance_interval": [0.0, 0.5]}, {"guidance_interval": [0.5, 1.0]}]
    spy_on(model).advance([make_sample(model, **kind) for kind in early])
    assert batch_sizes == [5, 1, 3], "the first step is noisier than the first interval"


@pytest.mark.parametrize(("precision", "classes"), [("fp32", ()), ("bf16", CLASSES)])
def test_a_weaker_network_guides_the_images_of_iddm_generate(precision, classes):
    main, weaker = make_model("pets", classes), make_model("weak", classes).denoiser
    settings = main.resolve_sampling(None, 4, 3.0, [0.2, 0.97], guidance_rescale=0.5, threshold=0.9)
    generator = ImageGenerator(
        main.denoiser, settings, num_classes=len(classes), shape=main.shape,
        precision=precision, weaker=weaker,
    )  # fmt: skip
    served = build_served_model(
        "pets", generator, classes, trained_steps=5, reference="pets", guide_with="weak@500"
    )
    assert served.is_invariant
    plan = served.plan_samples(settings, label=len(classes) // 2, seed=0)
    alone, batched = InFlightSample(plan, 2), InFlightSample(plan, 2)
    finish(served, alone)
    others = [make_sample(served, seed=9, index=i, **kind) for i, kind in enumerate(KINDS[:4])]
    finish(served, *others, batched)
    assert torch.equal(alone.x_t, batched.x_t)
    (expected,) = generator.generate_batch([SampleSpec(len(classes) // 2, 2)], seed=0).int()
    difference = (to_pixels(alone.x_t).permute(1, 2, 0).int() - expected).abs().max()
    assert difference <= (1 if precision == "fp32" else 0)
    assert served.sampling_metadata(settings, plan).guide_with == "weak@500"


def test_in_bf16_the_image_is_that_of_iddm_generate_bit_for_bit(model):
    generator = ImageGenerator(
        model.denoiser, model.sampling, num_classes=3, shape=model.shape, precision="bf16"
    )
    served = build_served_model("pets", generator, model.classes, trained_steps=5, reference="pets")
    assert (served.precision, served.batch_denoiser.is_invariant) == ("bf16", True)
    one = make_sample(served, label=1, index=2)
    served.advance([make_sample(served, seed=9), one])
    finish(served, one)
    (expected,) = generator.generate_batch([SampleSpec(1, 2)], seed=0)
    assert torch.equal(to_pixels(one.x_t).permute(1, 2, 0), expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_upscaled_image_is_that_of_iddm_upscale_whatever_shares_its_batch(precision):
    model = make_upscaler(precision=precision, steps=4, sampler="ddpm")
    assert model.is_invariant
    alone, batched, other_size, neighbour = (
        make_upscale_job(model, size, seed=seed, **kind)
        for size, seed, kind in (
            ((3, 5), 1, {}), ((3, 5), 1, {}), ((4, 6), 1, {}), ((3, 5), 2, {"steps": 7}),
        )
    )  # fmt: skip
    finish(model, *alone.samples)
    model.advance(other_size.samples)
    model.advance(neighbour.samples)
    finish(model, *neighbour.samples, *batched.samples)
    (one,), (same,) = alone.samples, batched.samples
    assert one.x_t.shape == (3, 8, 12), "padded"
    assert torch.equal(one.x_t, same.x_t)

    low = torch.randint(
        0, 256, (3, 3, 5), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    generator = ImageGenerator(
        model.denoiser, model.sampling, num_classes=3, shape=model.shape, precision=precision
    )
    upscaler = Upscaler(generator, 2, 0.2, divisor=4)
    (expected,) = upscaler.upscale(low[None], [SampleSpec(1, 1001)], seed=3).int()
    found = to_pixels(one.plan.crop(one.x_t)).permute(1, 2, 0).int()
    assert found.shape == expected.shape == (6, 10, 3)
    assert found.float().std() > 10, "the comparison is about something"
    assert (found - expected).abs().max() <= (1 if precision == "fp32" else 0)
    one.release()
    assert one.condition is None


def test_round_robin_takes_from_each_queue_in_turn():
    assert round_robin(["abc", "d", "ef"], 5) == ["a", "d", "e", "b", "f"]
    assert round_robin([], 5) == []


def test_turns_are_taken_in_order_and_new_ones_wait_for_all_others():
    order = TurnOrder()
    assert [order.choose("ab") for _ in range(3)] == ["a", "b", "a"]
    assert [order.choose(items) for items in ("abc", "abc", "abc")] == ["b", "a", "c"]
    assert [order.choose(items) for items in ("ad", "de", "de", "ef")] == ["a", "d", "e", "e"]
