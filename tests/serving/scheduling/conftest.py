"""Samples and jobs without a server."""

import time

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
