"""A probe of sampling: how long an image takes, from a few network calls of a small batch."""

import time

import torch

from iddm_cli.build.models import FEWEST_DURING_TRAINING
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.device import choose_precision
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.engine.monitoring.step_timing import synchronize
from iddm_cli.profiles.choices import usual_steps
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.profiles.settings import SamplingSettings

PROBED_STEPS = 4
"""Network calls that are timed; as many of them are guided as of all."""


def count_sampling_steps(settings: SamplingSettings, timesteps: int) -> int:
    """Return the number of network calls of the settings."""
    return settings.steps or usual_steps(settings.sampler, timesteps)


def build_short_generator(
    denoiser: Denoiser, profile: ResolvedProfile, num_classes: int
) -> tuple[ImageGenerator, float]:
    """Build an image generator of few network calls.

    Returns:
        The generator, and how many times as many calls the profile has.
    """
    steps = count_sampling_steps(profile.sampling, len(denoiser.schedule))
    few = min(steps, PROBED_STEPS)
    settings = profile.sampling.model_copy(update={"steps": few})
    generator = ImageGenerator(
        denoiser, settings, num_classes=num_classes, shape=profile.data.diffused_shape
    )
    return generator, steps / few


def guess_precision(settings: SamplingSettings, device: torch.device, images: int) -> str:
    """Return the precision that so many images of a sample grid are probably generated in.

    With auto, training compares images of both precisions; here they are taken to be close.
    """
    if settings.precision == "auto" and images < FEWEST_DURING_TRAINING:
        return "fp32"
    return choose_precision(settings.precision, device)


def choose_specs(count: int, num_classes: int) -> list[SampleSpec]:
    """Return so many images to generate, of all classes in turn."""
    return [SampleSpec(i % max(1, num_classes), i) for i in range(count)]


def time_image(
    denoiser: Denoiser,
    profile: ResolvedProfile,
    num_classes: int,
    *,
    images: int,
    forward: float,
    limit: float,
) -> float:
    """Return the seconds to generate one image, in a batch as large as the time allows.

    Args:
        denoiser: The denoiser.
        profile: The profile.
        num_classes: Number of classes.
        images: How many are generated at a time, for the choice of the precision.
        forward: About how many seconds a forward pass of one image takes.
        limit: About how many seconds this may take.
    """
    generator, factor = build_short_generator(denoiser, profile, num_classes)
    device = denoiser.schedule.alpha.device
    generator = generator.with_precision(guess_precision(profile.sampling, device, images))
    denoiser.eval()
    passes = 2 * PROBED_STEPS  # with guidance
    affordable = int(limit / 2 / (passes * max(forward, 1e-9)))
    specs = choose_specs(max(1, min(profile.sampling.batch_size, affordable)), num_classes)
    generator.generate_batch(specs, seed=0)
    synchronize(device)
    started = time.perf_counter()
    generator.generate_batch(specs, seed=0)
    synchronize(device)
    return (time.perf_counter() - started) / len(specs) * factor
