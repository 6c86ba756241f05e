"""The generator: a picture is a function of weights, seed, index, class and settings."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import NoiseSchedule, cosine_betas
from iddm_cli.engine.image_generator import Generator, Order, to_pixels
from iddm_cli.networks import UNet
from iddm_cli.profiles.settings import SamplingSettings

CLASSES = 3


def make(**settings) -> Generator:
    torch.manual_seed(0)
    network = UNet(
        channels=3, num_classes=CLASSES, base_channels=8, channel_multipliers=[1, 2],
        blocks_per_level=1, attention_levels=[1], head_channels=8, norm_groups=4,
    ).eval()  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(network, NoiseSchedule(cosine_betas(100)), prediction="v")
    chosen = SamplingSettings(**({"steps": 6, "guidance": 2.0} | settings))
    return Generator(denoiser, chosen, num_classes=CLASSES, shape=(3, 8, 8))


def draw(generator: Generator, orders: list[Order], *, seed=0, batch_size=64) -> dict:
    drawn = generator.pictures(orders, seed=seed, batch_size=batch_size)
    return {picture.order: picture.pixels.int() for picture in drawn}


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "ddim"},
        {"sampler": "ddim", "eta": 0.5},
        {"sampler": "ddpm"},
        {"sampler": "dpmpp-2m"},
    ],
    ids=str,
)
def test_a_picture_is_the_same_in_any_batch(settings):
    generator = make(**settings)
    orders = [Order(label, index) for index in range(4) for label in (2, 0, CLASSES, 1)]
    together = draw(generator, orders)
    for size in (1, 3, 8):
        apart = draw(generator, list(reversed(orders)), batch_size=size)
        assert apart.keys() == together.keys()
        assert max((apart[o] - together[o]).abs().max() for o in orders) <= 1
    assert together[Order(0, 0)].float().std() > 10, "the comparison is about something"


def test_seed_index_and_class_each_matter():
    generator = make()
    one = draw(generator, [Order(0, 0), Order(0, 1), Order(1, 0)])
    other = draw(generator, [Order(0, 0)], seed=1)
    pictures = [*one.values(), *other.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])


def test_without_steps_each_sampler_takes_its_usual_number():
    assert len(make(sampler="ddim", steps=None).steps) == 20
    assert len(make(sampler="ddpm", steps=None).steps) == 100


def test_clipping_keeps_estimates_in_range():
    loud = make(clip=True)
    estimate = loud._denoise(torch.tensor([0]))(
        torch.full((1, 3, 8, 8), 50.0), torch.tensor([5]), torch.tensor([0])
    )
    assert estimate.abs().max() <= 1


def test_white_stays_white_and_values_are_rounded():
    x = torch.tensor([-1.5, -1.0, -0.999, 0.0, 0.0039, 0.997, 1.0, 1.5])
    assert to_pixels(x).tolist() == [0, 0, 0, 128, 128, 255, 255, 255]
    levels = torch.arange(256)
    assert torch.equal(to_pixels(levels.float() / 127.5 - 1).long(), levels)
