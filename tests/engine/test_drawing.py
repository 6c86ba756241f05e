"""Drawing: every setting of sampling reaches the picture, and nothing else does."""

import itertools

import pytest
import torch

from iddm_cli.diffusion.samplers import sampling_times
from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import Order, to_pixels
from tests.engine.test_generator import CLASSES, draw, make

ONE = [Order(1, 3)]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpmpp-2m"])
@pytest.mark.parametrize("count", [4, 16])
def test_picture_three_is_the_same_among_few_or_many(sampler, count):
    generator = make(sampler=sampler)
    many = draw(generator, [Order(index % CLASSES, index) for index in range(count)], batch_size=5)
    order = Order(3 % CLASSES, 3)
    assert (many[order] - draw(generator, [order])[order]).abs().max() <= 1


def test_every_setting_matters():
    kinds = [
        {},
        {"eta": 0.5},
        {"eta": 1.0},
        {"sampler": "dpmpp-2m"},
        {"steps": 7},
        {"guidance": 1.0},
        {"guidance": 0.0},
        {"clip": False},
    ]
    drawn = [draw(make(**kind), ONE)[ONE[0]] for kind in kinds]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))


def test_eta_of_one_is_ddpm():
    by_eta, by_name = make(eta=1.0), make(sampler="ddpm")
    assert torch.equal(draw(by_eta, ONE)[ONE[0]], draw(by_name, ONE)[ONE[0]])


def test_the_first_noise_and_each_later_one_are_independent(monkeypatch):
    drawn = []

    def normal(*arguments, **named):
        drawn.append(randomness_normal(*arguments, **named))
        return drawn[-1]

    randomness_normal = randomness.normal
    monkeypatch.setattr(randomness, "normal", normal)
    generator = make(sampler="ddpm", steps=5)
    generator.draw([Order(0, 0), Order(0, 1)], seed=0)
    assert len(drawn) == 5, "the first, and one after each step but the last"
    noises = [noise.flatten() for pair in drawn for noise in pair]
    # Correlations of 192 pairs of numbers stay below five standard errors.
    bound = 5 / 192**0.5
    assert all((a * b).mean().abs() < bound for a, b in itertools.combinations(noises, 2))


@pytest.mark.parametrize("weight", [0.0, 2.5])
def test_guidance_leads_away_from_no_label_towards_the_class(weight):
    generator = make(guidance=weight, clip=False)
    x_t, t = torch.randn(2, 3, 8, 8), torch.tensor([50, 50])
    label, none = torch.tensor([0, 2]), torch.tensor([CLASSES, CLASSES])
    with torch.no_grad():
        found = generator._denoise(label)(x_t, t, label)
        cond, uncond = generator.denoiser(x_t, t, label), generator.denoiser(x_t, t, none)
    torch.testing.assert_close(found, (1 - weight) * uncond + weight * cond, atol=1e-4, rtol=1e-4)


def test_one_class_among_unlabelled_pictures_is_guided_and_they_stay_as_they_are():
    generator, plain = make(guidance=3.0), make(guidance=1.0)
    orders = [Order(CLASSES, 0), Order(1, 3)]
    mixed = draw(generator, orders)
    assert torch.equal(mixed[orders[1]], draw(generator, orders[1:])[orders[1]])
    # Towards no label from no label is no way at all.
    assert (mixed[orders[0]] - draw(plain, orders[:1])[orders[0]]).abs().max() <= 1


def test_a_denoiser_left_in_training_mode_draws_without_dropout():
    generator = make()
    for block in generator.denoiser.modules():
        if isinstance(block, torch.nn.Dropout):
            block.p = 0.5
    wanted = draw(generator, ONE)[ONE[0]]
    generator.denoiser.train()
    assert torch.equal(draw(generator, ONE)[ONE[0]], wanted)


def test_pictures_come_as_ordered_with_channels_last():
    generator = make()
    orders = [Order(label, index) for index in (5, 2) for label in (2, 0)]
    drawn = list(generator.pictures(orders, seed=0, batch_size=3))
    assert [picture.order for picture in drawn] == orders
    assert {tuple(picture.pixels.shape) for picture in drawn} == {(8, 8, 3)}
    assert {picture.pixels.dtype for picture in drawn} == {torch.uint8}


def test_drawing_visits_the_times_asked():
    assert make(steps=6).steps.times == sampling_times(100, 6)
    assert make(sampler="dpmpp-2m", steps=None).steps.times == sampling_times(100, 20)


def test_pixels_are_clamped_then_rounded():
    x = torch.tensor([-1.5, -1.0, 0.999, 1.0, 1.5])
    assert to_pixels(x).tolist() == [0, 0, 255, 255, 255]
    assert to_pixels(torch.tensor([0.99]) - 1).tolist() == [126], "(0.99) * 127.5 is 126.225"
    assert to_pixels(torch.tensor([0.996]) - 1).tolist() == [127], "126.99 is not cut to 126"
