"""An upscaled image is a function of weights, seed, smaller image, class and noise level."""

import itertools

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.engine.sampling.upscaler import Cascade, Upscaler
from iddm_cli.networks import UNet
from iddm_cli.profiles.settings import SamplingSettings

CLASSES, FACTOR = 3, 2


def make_generator(**changes) -> ImageGenerator:
    torch.manual_seed(0)
    network = UNet(
        channels=1, num_classes=CLASSES, base_channels=8, channel_multipliers=[1, 2],
        blocks_per_level=1, attention_levels=[1], head_channels=8, norm_groups=4,
        condition_channels=2,
    ).eval()  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(network, cosine_schedule(100), prediction="v", condition_channels=2)
    chosen = SamplingSettings(steps=4, guidance=2.0)
    shape = (1, 8, 8)
    return ImageGenerator(denoiser, chosen, num_classes=CLASSES, shape=shape, **changes)


def make_low(count=5, size=(4, 4)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 1, *size), generator=generator, dtype=torch.uint8)


def upscale(low, specs, *, seed=0, level=0.2, **changes) -> torch.Tensor:
    return Upscaler(make_generator(**changes), FACTOR, level).upscale(low, specs, seed=seed).int()


SPECS = [SampleSpec(i % CLASSES, i) for i in range(5)]


def test_the_same_call_returns_the_same_bits():
    assert torch.equal(upscale(make_low(), SPECS), upscale(make_low(), SPECS))


def test_image_level_seed_class_and_index_each_change_the_result():
    low, spec = make_low(1), SampleSpec(0, 0)
    results = [
        upscale(low, [spec]),
        upscale(255 - low, [spec]),
        upscale(low, [spec], level=0.3),
        upscale(low, [spec], seed=1),
        upscale(low, [SampleSpec(1, 0)]),
        upscale(low, [SampleSpec(0, 1)]),
    ]
    assert results[0].float().std() > 10, "the comparison is about something"
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(results, 2))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_is_the_same_in_any_batch(precision):
    together = upscale(make_low(), SPECS, precision=precision)
    for size in (1, 3):
        parts = [
            upscale(make_low()[i : i + size], SPECS[i : i + size], precision=precision)
            for i in range(0, 5, size)
        ]
        assert (torch.cat(parts) - together).abs().max() <= (precision == "fp32")


def test_images_of_another_size_are_upscaled_by_the_same_factor():
    low = make_low(2, (6, 10))
    assert upscale(low, SPECS[:2]).shape == (2, 12, 20, 1)


def test_without_an_image_the_generator_upscales_grey_for_measurements():
    blank = make_generator().generate_batch(SPECS, 0)
    assert blank.shape == (5, 8, 8, 1)


def test_sizes_that_the_network_cannot_divide_are_padded_and_cropped():
    low = make_low(1, (3, 5))
    padded = torch.cat([low, low[..., -1:]], 3)
    padded = torch.cat([padded, padded[:, :, -1:]], 2)
    upscaler = Upscaler(make_generator(), FACTOR, 0.2, divisor=4)
    result = upscaler.upscale(low, SPECS[:1], seed=0)
    assert result.shape == (1, 6, 10, 1)
    assert torch.equal(result, upscaler.upscale(padded, SPECS[:1], seed=0)[:, :6, :10])


def make_base() -> ImageGenerator:
    torch.manual_seed(1)
    network = UNet(
        channels=1, num_classes=2, base_channels=8, channel_multipliers=[1], blocks_per_level=1,
        attention_levels=[], head_channels=8, norm_groups=4,
    ).eval()  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(network, cosine_schedule(100), prediction="v")
    return ImageGenerator(denoiser, SamplingSettings(steps=2), num_classes=2, shape=(1, 4, 4))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_cascade_upscales_what_the_base_generates_with_the_labels_of_the_upscaler(size):
    base, upscaler = make_base(), Upscaler(make_generator(), FACTOR, 0.2)
    cascade = Cascade(base, upscaler, [2, 0, 3], batch_size=size)
    specs = [SampleSpec(0, 5), SampleSpec(1, 5), SampleSpec(2, 9)]
    samples = [*cascade.generate(specs, seed=3, batch_size=3)]
    assert [sample.spec for sample in samples] == specs
    small = torch.stack([one.pixels for one in base.generate(specs, seed=3, batch_size=3)])
    own = [SampleSpec(2, 5), SampleSpec(0, 5), SampleSpec(3, 9)]
    wanted = upscaler.upscale(small.permute(0, 3, 1, 2), own, seed=3)
    found = torch.stack([sample.pixels for sample in samples])
    assert (found.int() - wanted.int()).abs().max() <= 1
