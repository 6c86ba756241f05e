"""Images that sampling starts from: noise up to a level, and pixels that are kept exactly."""

import pytest
import torch

from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.image_generator import SampleSpec, to_pixels
from iddm_cli.engine.sampling.known_images import KnownImages
from tests.engine.test_image_generator import build_image_generator, generate

SCHEDULE = cosine_schedule(100)
SAMPLERS = ["ddim", "ddpm", "dpmpp-2m", "heun", "plms", "ipndm", "unipc", "dpmpp-2m-sde"]
ADD_NOISE = ("ddpm", "dpmpp-2m-sde")
CPU = torch.device("cpu")


def known_images(strength: float, *, masked=False, dtype=torch.uint8) -> KnownImages:
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 256, (2, 3, 8, 8), generator=generator).to(dtype)
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[0, :, 2:6, 2:6] = mask[1, :, :, :3] = True
    return KnownImages(levels, strength, mask if masked else None)


def test_the_start_is_the_image_with_noise_of_its_time():
    known = known_images(0.6)
    batch, noise = known.select([1], CPU), torch.randn(1, 3, 8, 8)
    time = known.highest_time(SCHEDULE)
    assert time == 59, "of 100 times, 60 are sampled"
    x = known.levels[1:].float() / 127.5 - 1
    expected = SCHEDULE.alpha[59] * x + SCHEDULE.sigma[59] * noise
    torch.testing.assert_close(batch.begin(noise, SCHEDULE, time), expected)
    assert [known.count_calls(n) for n in (10, 20, 1)] == [6, 12, 1]


def test_only_kept_pixels_remember_the_image_at_strength_one():
    noise = torch.randn(2, 3, 8, 8)
    pure = known_images(1.0).select([0, 1], CPU).begin(noise, SCHEDULE, 99)
    assert torch.equal(pure, noise)
    known = known_images(1.0, masked=True).select([0, 1], CPU)
    start = known.begin(noise, SCHEDULE, 99)
    generated = known.generated.expand_as(noise)
    assert torch.equal(start[generated], noise[generated])
    assert not (start == noise)[~generated].all()


def test_the_estimate_of_kept_pixels_is_the_image_itself():
    known = known_images(0.5, masked=True).select([0, 1], CPU)
    found = known.keep(lambda x_t, t, label: torch.full_like(x_t, 7.0))(known.x, None, None)
    generated = known.generated.expand_as(found)
    assert (found[generated] == 7).all()
    assert torch.equal(found[~generated], known.x[~generated])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_x_t_stays_at_its_noise_level_where_pixels_are_kept(sampler):
    """Without new noise it is alpha * x + sigma * noise at every step, with the first noise."""
    generator = build_image_generator(sampler=sampler, eta=0.0, steps=5).starting_from(
        known_images(0.8, masked=True)
    )
    specs = [SampleSpec(0, 0, source=0), SampleSpec(1, 1, source=1)]
    seen = []

    class Recorder:
        def record(self, keys, step, x_t, denoised):
            seen.append(x_t)

    generator.generate_batch(specs, 0, Recorder())
    batch = generator.known.select([0, 1], CPU)
    kept = ~batch.generated.expand_as(batch.x)
    schedule, times = generator.denoiser.schedule, generator.solver_table.times
    for x_t, time in zip(seen, times, strict=True):
        noise = (x_t - schedule.alpha[time] * batch.x) / schedule.sigma[time]
        if sampler in ADD_NOISE:
            assert noise[kept].std() == pytest.approx(1, abs=0.2)
        else:
            first = (seen[0] - schedule.alpha[times[0]] * batch.x) / schedule.sigma[times[0]]
            torch.testing.assert_close(noise[kept], first[kept], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_kept_pixel_is_that_of_the_image(sampler):
    generator = build_image_generator(sampler=sampler).starting_from(known_images(1.0, masked=True))
    specs = [SampleSpec(0, 0, source=1), SampleSpec(2, 1, source=0)]
    found = generator.generate_batch(specs, 0)
    batch = generator.known.select([1, 0], CPU)
    kept = ~batch.generated.permute(0, 2, 3, 1).expand_as(found)
    assert torch.equal(found[kept], batch.pixels()[kept])
    assert (found != batch.pixels())[~kept].float().mean() > 0.5, "and others are new"


def test_pasting_leaves_only_what_is_generated():
    """Whatever rounding the sampler ends with, kept pixels are those of the image."""
    batch = known_images(1.0, masked=True).select([0], CPU)
    found = batch.paste(torch.full((1, 8, 8, 3), 77, dtype=torch.uint8))
    generated = batch.generated.permute(0, 2, 3, 1).expand_as(found)
    assert (found[generated] == 77).all()
    assert torch.equal(found[~generated], batch.pixels()[~generated])


def test_strength_zero_returns_the_image_and_one_ignores_it():
    plain = build_image_generator()
    spec, from_noise = SampleSpec(1, 3, source=0), SampleSpec(1, 3)
    known = known_images(0.0)
    found = plain.starting_from(known).generate_batch([spec], 0)
    assert torch.equal(found, known.levels[:1].permute(0, 2, 3, 1))
    ignored = plain.starting_from(known_images(1.0)).generate_batch([spec], 0)
    assert torch.equal(ignored, plain.generate_batch([from_noise], 0))


def test_a_variation_is_nearer_to_its_image_the_smaller_the_strength():
    plain = build_image_generator(clip=True)
    spec = SampleSpec(1, 3, source=0)
    distances = []
    for strength in (0.05, 0.4, 1.0):
        known = known_images(strength)
        found = plain.starting_from(known).generate_batch([spec], 0)
        distances.append((found - known.levels[:1].permute(0, 2, 3, 1).float()).abs().mean())
    assert distances == sorted(distances)
    assert distances[0] < distances[2] / 2


def test_deep_images_are_kept_exactly():
    known = KnownImages(torch.tensor([[[[0, 40_000], [65_535, 1]]]], dtype=torch.uint16), 0.0, None)
    batch = known.select([0, 0], CPU)
    assert batch.pixels().flatten().tolist() == [0, 40_000, 65_535, 1] * 2
    restored = to_pixels(batch.x, 65_535).permute(0, 2, 3, 1)
    assert (restored - batch.pixels()).abs().max() <= 1


def test_a_variation_does_not_depend_on_its_batch():
    generator = build_image_generator(sampler="ddpm").starting_from(known_images(0.7, masked=True))
    specs = [SampleSpec(i % 3, i, source=i % 2) for i in range(5)]
    together, alone = generate(generator, specs), generate(generator, specs, batch_size=1)
    assert max((together[spec] - alone[spec]).abs().max() for spec in specs) <= 1
