"""An image is a function of weights, seed, index, class and sampling settings alone."""

import itertools

import numpy as np
import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_time_grid
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_image, to_pixels
from iddm_cli.engine.reduced_precision.batch_invariant import BatchInvariantDenoiser
from iddm_cli.networks import UNet
from iddm_cli.profiles.settings import SamplingSettings

CLASSES = 3


def build_image_generator(**settings) -> ImageGenerator:
    torch.manual_seed(0)
    network = UNet(
        channels=3, num_classes=CLASSES, base_channels=8, channel_multipliers=[1, 2],
        blocks_per_level=1, attention_levels=[1], head_channels=8, norm_groups=4,
    ).eval()  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(network, cosine_schedule(100), prediction="v")
    chosen = SamplingSettings(**({"steps": 6, "guidance": 2.0} | settings))
    return ImageGenerator(denoiser, chosen, num_classes=CLASSES, shape=(3, 8, 8))


def generate(generator: ImageGenerator, specs: list[SampleSpec], *, seed=0, batch_size=64) -> dict:
    samples = generator.generate(specs, seed=seed, batch_size=batch_size)
    return {sample.spec: sample.pixels.int() for sample in samples}


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "ddim"},
        {"sampler": "ddim", "eta": 0.5},
        {"sampler": "ddpm"},
        {"sampler": "dpmpp-2m"},
        {"sampler": "ipndm"},
    ],
    ids=str,
)
def test_an_image_is_the_same_in_any_batch(settings):
    generator = build_image_generator(**settings)
    specs = [SampleSpec(label, index) for index in range(4) for label in (2, 0, CLASSES, 1)]
    together = generate(generator, specs)
    for size in (1, 3, 8):
        apart = generate(generator, list(reversed(specs)), batch_size=size)
        assert apart.keys() == together.keys()
        assert max((apart[spec] - together[spec]).abs().max() for spec in specs) <= 1
    assert together[SampleSpec(0, 0)].float().std() > 10, "the comparison is about something"


def test_seed_index_and_class_each_matter():
    generator = build_image_generator()
    one = generate(generator, [SampleSpec(0, 0), SampleSpec(0, 1), SampleSpec(1, 0)])
    other = generate(generator, [SampleSpec(0, 0)], seed=1)
    images = [*one.values(), *other.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])


def test_without_steps_each_sampler_takes_its_usual_number():
    assert len(build_image_generator(sampler="ddim", steps=None).solver_table) == 20
    assert len(build_image_generator(sampler="ddpm", steps=None).solver_table) == 100


def test_clipping_keeps_estimates_in_range():
    loud = build_image_generator(clip=True)
    estimate = loud._denoise(torch.tensor([0]))(
        torch.full((1, 3, 8, 8), 50.0), torch.tensor([5]), torch.tensor([0])
    )
    assert estimate.abs().max() <= 1


def test_white_stays_white_and_values_are_rounded():
    x = torch.tensor([-1.5, -1.0, -0.999, 0.0, 0.0039, 0.997, 1.0, 1.5])
    assert to_pixels(x).tolist() == [0, 0, 0, 128, 128, 255, 255, 255]
    levels = torch.arange(256)
    assert torch.equal(to_pixels(levels.float() / 127.5 - 1).long(), levels)


ONE = [SampleSpec(1, 3)]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpmpp-2m"])
@pytest.mark.parametrize("count", [4, 16])
def test_image_three_is_the_same_among_few_or_many(sampler, count):
    generator = build_image_generator(sampler=sampler)
    many = generate(
        generator, [SampleSpec(index % CLASSES, index) for index in range(count)], batch_size=5
    )
    spec = SampleSpec(3 % CLASSES, 3)
    assert (many[spec] - generate(generator, [spec])[spec]).abs().max() <= 1


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
    images = [generate(build_image_generator(**kind), ONE)[ONE[0]] for kind in kinds]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))


def test_eta_of_one_is_ddpm():
    by_eta, by_name = build_image_generator(eta=1.0), build_image_generator(sampler="ddpm")
    assert torch.equal(generate(by_eta, ONE)[ONE[0]], generate(by_name, ONE)[ONE[0]])


def test_the_first_noise_and_each_later_one_are_independent(monkeypatch):
    noises_made = []

    def normal(*arguments, **named):
        noises_made.append(randomness_normal(*arguments, **named))
        return noises_made[-1]

    randomness_normal = randomness.normal
    monkeypatch.setattr(randomness, "normal", normal)
    generator = build_image_generator(sampler="ddpm", steps=5)
    generator.generate_batch([SampleSpec(0, 0), SampleSpec(0, 1)], seed=0)
    assert len(noises_made) == 5, "the first, and one after each step but the last"
    noises = [noise.flatten() for pair in noises_made for noise in pair]
    # Correlations of 192 pairs of numbers stay below five standard errors.
    bound = 5 / 192**0.5
    assert all((a * b).mean().abs() < bound for a, b in itertools.combinations(noises, 2))


@pytest.mark.parametrize("weight", [0.0, 2.5])
def test_guidance_leads_away_from_no_label_towards_the_class(weight):
    generator = build_image_generator(guidance=weight, clip=False)
    x_t, t = torch.randn(2, 3, 8, 8), torch.tensor([50, 50])
    label, none = torch.tensor([0, 2]), torch.tensor([CLASSES, CLASSES])
    with torch.no_grad():
        found = generator._denoise(label)(x_t, t, label)
        cond, uncond = generator.denoiser(x_t, t, label), generator.denoiser(x_t, t, none)
    torch.testing.assert_close(found, (1 - weight) * uncond + weight * cond, atol=1e-4, rtol=1e-4)


def test_a_labelled_image_among_unlabelled_ones_is_guided_and_they_are_unchanged():
    generator, plain = build_image_generator(guidance=3.0), build_image_generator(guidance=1.0)
    specs = [SampleSpec(CLASSES, 0), SampleSpec(1, 3)]
    mixed = generate(generator, specs)
    assert torch.equal(mixed[specs[1]], generate(generator, specs[1:])[specs[1]])
    # Without a label both estimates are the same, and guidance changes nothing.
    assert (mixed[specs[0]] - generate(plain, specs[:1])[specs[0]]).abs().max() <= 1


def test_a_denoiser_left_in_training_mode_samples_without_dropout():
    generator = build_image_generator()
    for block in generator.denoiser.modules():
        if isinstance(block, torch.nn.Dropout):
            block.p = 0.5
    wanted = generate(generator, ONE)[ONE[0]]
    generator.denoiser.train()
    assert torch.equal(generate(generator, ONE)[ONE[0]], wanted)


def test_images_come_in_the_order_of_their_specifications_with_channels_last():
    generator = build_image_generator()
    specs = [SampleSpec(label, index) for index in (5, 2) for label in (2, 0)]
    samples = list(generator.generate(specs, seed=0, batch_size=3))
    assert [sample.spec for sample in samples] == specs
    assert {tuple(sample.pixels.shape) for sample in samples} == {(8, 8, 3)}
    assert {sample.pixels.dtype for sample in samples} == {torch.uint8}


def test_sampling_visits_the_requested_times():
    grid = build_time_grid("trailing", cosine_schedule(100))
    assert build_image_generator(steps=6).solver_table.times == grid(6)
    by_default = build_image_generator(sampler="dpmpp-2m", steps=None)
    assert by_default.solver_table.times == grid(20)


def test_pixels_are_clamped_then_rounded():
    x = torch.tensor([-1.5, -1.0, 0.999, 1.0, 1.5])
    assert to_pixels(x).tolist() == [0, 0, 255, 255, 255]
    assert to_pixels(torch.tensor([0.99]) - 1).tolist() == [126], "(0.99) * 127.5 is 126.225"
    assert to_pixels(torch.tensor([0.996]) - 1).tolist() == [127], "126.99 is not cut to 126"


def test_deep_pixels_have_65_536_levels():
    x = torch.tensor([-7.0, -1.0, 0.0, 1.0, 9.0])
    assert to_pixels(x, 65_535).tolist() == [0, 0, 32_768, 65_535, 65_535]
    assert to_pixels(x, 65_535).dtype == torch.int32
    assert to_pixels(x).dtype == torch.uint8


@pytest.mark.parametrize(
    ("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGB"), (13, "RGB")]
)
def test_an_image_to_look_at_shows_up_to_three_bands(channels, mode):
    levels = torch.randint(0, 65_536, (4, 5, channels), dtype=torch.int32)
    image = to_image(levels)
    assert (image.mode, image.size) == (mode, (5, 4))
    shown = np.atleast_3d(np.asarray(image))
    assert np.abs(shown - levels.numpy()[..., : shown.shape[2]] / 257).max() <= 0.5
    eight = torch.randint(0, 256, (4, 5, channels), dtype=torch.uint8)
    shown = np.atleast_3d(np.asarray(to_image(eight)))
    assert (shown == eight.numpy()[..., : shown.shape[2]]).all()


def count_rows(generator: ImageGenerator, specs: list[SampleSpec]) -> list[int]:
    """Return how many images the network sees at each step."""
    rows = []
    hook = generator.denoiser.backbone.register_forward_pre_hook(
        lambda _, inputs: rows.append(len(inputs[0]))
    )
    generator.generate_batch(specs, seed=0)
    hook.remove()
    return rows


def test_guidance_in_every_step_is_the_plain_formula_bit_for_bit():
    generator = build_image_generator(guidance=2.5, guidance_interval=[0.0, 1.0])
    items, label = torch.arange(2), torch.tensor([0, 2])
    none = torch.full_like(label, CLASSES)

    def plain(x_t, t, label):
        both = generator.denoiser(x_t.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([label, none]))
        cond, uncond = both.chunk(2)
        return (uncond + 2.5 * (cond - uncond)).clamp(-1, 1)

    noise = randomness.normal(0, "sample", items=items, step=0, shape=(3, 8, 8))
    with torch.inference_mode():
        x = sample(plain, generator.solver_table, noise=noise, label=label, noise_at=None)
    found = generator.generate_batch([SampleSpec(0, 0), SampleSpec(2, 1)], seed=0)
    assert torch.equal(found, to_pixels(x).permute(0, 2, 3, 1))


def test_an_empty_interval_is_no_guidance_bit_for_bit():
    nowhere = generate(build_image_generator(guidance_interval=[0.0, 0.0]), ONE)
    assert torch.equal(nowhere[ONE[0]], generate(build_image_generator(guidance=1.0), ONE)[ONE[0]])


def test_only_labelled_images_inside_the_interval_are_evaluated_twice():
    specs = [SampleSpec(0, 0), SampleSpec(CLASSES, 1), SampleSpec(2, 2)]
    generator = build_image_generator(guidance_interval=[0.3, 0.9])
    sigma = generator.denoiser.schedule.levels_at(generator.solver_table.times).sigma
    inside = [0.3 <= level <= 0.9 for level in sigma.tolist()]
    assert {True, False} == set(inside)
    assert count_rows(generator, specs) == [5 if guided else 3 for guided in inside]
    assert count_rows(build_image_generator(guidance=1.0), specs) == [3] * 6
    unlabelled = [SampleSpec(CLASSES, 0)]
    assert count_rows(build_image_generator(), unlabelled) == [1] * 6


def test_one_step_inside_the_interval_is_guided_and_one_outside_is_not():
    label = torch.tensor([1])
    for interval, scale in (([0.9, 1.0], 2.0), ([0.0, 0.5], 1.0)):
        generator = build_image_generator(steps=1, guidance_interval=interval, clip=False)
        noise = randomness.normal(0, "sample", items=torch.tensor([3]), step=0, shape=(3, 8, 8))
        t = torch.tensor(generator.solver_table.times)
        with torch.no_grad():
            cond, uncond = (generator.denoiser(noise, t, each) for each in (label, 0 * t + CLASSES))
        # One step of ddim ends at its estimate of x.
        wanted = to_pixels(uncond + scale * (cond - uncond)).permute(0, 2, 3, 1)[0].int()
        assert (generate(generator, ONE)[ONE[0]] - wanted).abs().max() <= 1


@pytest.mark.parametrize("threads", [1, 2])
def test_in_bf16_an_image_has_the_same_bits_in_any_batch_and_with_any_number_of_threads(threads):
    generator = build_image_generator(steps=3).with_precision("bf16")
    specs = [SampleSpec(label, index) for index in range(3) for label in (2, CLASSES, 1)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert generator.is_invariant
        # Tiny networks hide a dependence on the batch that larger ones have.
        assert isinstance(generator._networks.main, BatchInvariantDenoiser)
        together = generate(generator, specs)
    finally:
        torch.set_num_threads(before)
    for size in (1, 4):
        apart = generate(build_image_generator(steps=3).with_precision("bf16"), specs[:5],
                         batch_size=size)  # fmt: skip
        assert all(torch.equal(image, together[spec]) for spec, image in apart.items())


def test_precision_changes_images_a_little():
    generator = build_image_generator()
    fp32, bf16 = (
        generate(generator.with_precision(name), ONE)[ONE[0]] for name in ("fp32", "bf16")
    )
    assert not torch.equal(fp32, bf16)
    assert (fp32 - bf16).float().abs().mean() < 8
    assert torch.equal(generate(generator, ONE)[ONE[0]], fp32)
