"""Samples and jobs without a server."""

import time

import torch

from iddm_cli.engine.sampling.small_image import SmallImage
from iddm_cli.serving.scheduling.batcher import InFlightSample
from iddm_cli.serving.scheduling.jobs import GenerationJob

DEFAULTS = {"sampler": None, "steps": None, "guidance": None}


def make_sample(model, *, label=0, seed=0, index=0, own_noise=False, **settings) -> InFlightSample:
    resolved = model.resolve_sampling(**DEFAULTS | settings)
    plan = model.plan_samples(resolved, label=label, seed=seed, own_noise=own_noise)
    return InFlightSample(plan, index)


def make_job(model, count=1, seconds=60.0, **settings) -> GenerationJob:
    resolved = model.resolve_sampling(**DEFAULTS | settings)
    plan = model.plan_samples(resolved, label=0, seed=0)
    metadata = model.sampling_metadata(resolved, plan)
    return GenerationJob(model, plan, metadata, count, time.monotonic() + seconds)


def make_upscale_job(model, size=(4, 8), seconds=60.0, seed=0, **settings) -> GenerationJob:
    """Return a job that upscales noise of a height and width, which the seed decides."""
    levels = torch.Generator().manual_seed(seed)
    planes = torch.randint(0, 256, (3, *size), generator=levels, dtype=torch.uint8)
    image = SmallImage("image.png", 1, 1000 + seed, planes)
    resolved = model.resolve_sampling(**DEFAULTS | settings)
    plan = model.plan_upscaling(resolved, image, seed=3, noise_level=0.2)
    metadata, end = model.sampling_metadata(resolved, plan), time.monotonic() + seconds
    return GenerationJob(model, plan, metadata, 1, end, source_name=image.name)
