"""The worker runs jobs to their end, and survives a step that fails."""

import dataclasses
from typing import ClassVar

import torch

from iddm_cli.serving.scheduling.jobs import JobState
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import RequestScheduler
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics
from iddm_cli.serving.scheduling.worker import SamplingWorker
from iddm_cli.value_range import ValueRange
from tests.serving.conftest import make_upscaler

from .conftest import make_job, make_upscale_job


def run_jobs(*jobs) -> tuple[ServerMetrics, list[str]]:
    """Run jobs to their end; return the metrics and what was reported."""
    scheduler, metrics, reports = RequestScheduler(Limits()), ServerMetrics(), []
    for job in jobs:
        scheduler.submit(job)
    scheduler.stop()
    worker = SamplingWorker(scheduler, metrics, reports.append)
    worker.start()
    worker.thread.join(30)
    assert not worker.thread.is_alive()
    return metrics, reports


def test_finished_samples_become_pixels_and_release_their_tensors(model):
    job = make_job(model, 2, steps=3)
    metrics, reports = run_jobs(job)
    assert (job.state, reports) == (JobState.DONE, [])
    assert [tuple(pixels.shape) for pixels in job.pixels.values()] == [(8, 16, 3)] * 2
    assert all(sample.x_t is None and sample.denoised is None for sample in job.samples)
    text = metrics.render({})
    assert 'iddm_images_total{model="pets"} 2' in text
    assert 'iddm_steps_total{model="pets"} 3' in text


class Enlarger:
    """Decodes a latent by making it twice as large, and notes how many it was given at once."""

    counts: ClassVar[list[int]] = []

    def shape_latents(self, image):
        return image[0], image[1] // 2, image[2] // 2

    def decode(self, latents):
        self.counts.append(len(latents))
        return latents.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_samples_of_a_network_on_latents_are_decoded_one_at_a_time(model):
    latent = dataclasses.replace(model, decoder=Enlarger())
    job = make_job(latent, 2, steps=2)
    _, reports = run_jobs(job)
    assert (job.state, reports) == (JobState.DONE, [])
    assert Enlarger.counts == [1, 1]
    for pixels in job.pixels.values():
        assert tuple(pixels.shape) == (8, 16, 3)
        assert torch.equal(pixels[::2, ::2], pixels[1::2, 1::2])
        assert not torch.equal(pixels[:4], pixels[4:])


def test_an_upscaled_image_has_the_levels_of_the_model_and_no_padding():
    deep = make_upscaler(values=ValueRange("uint16", (0.0,), (65535.0,)))
    job = make_upscale_job(deep, (3, 5))
    _, reports = run_jobs(job)
    assert (job.state, reports) == (JobState.DONE, [])
    assert (job.pixels[0].shape, job.pixels[0].dtype) == ((6, 10, 3), torch.int32)
    assert job.pixels[0].max() > 255
    assert job.samples[0].condition is None, "released"


def test_a_failed_step_ends_its_jobs_and_is_reported(model):
    def fail(*_):
        raise RuntimeError("no memory")

    broken = dataclasses.replace(model, name="broken", batch_denoiser=fail)
    failing, working = make_job(broken), make_job(model)
    _, reports = run_jobs(failing, working)
    assert (failing.state, working.state) == (JobState.FAILED, JobState.DONE)
    assert len(reports) == 1
    assert "a step of broken failed" in reports[0]
    assert "no memory" in reports[0]
