"""The events of a job: queue position, progress, previews, finished images, and the end.

Events are not queued for a slow client: it gets the newest state, and every finished image.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from iddm_cli.serving.http.answers.job_files import (
    collect_settings,
    encode_job_image,
    encode_preview,
    format_command,
)
from iddm_cli.serving.http.streaming import JobWatch
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState
from iddm_cli.serving.scheduling.scheduler import RequestScheduler

Event = tuple[str, Mapping[str, Any]]
PING_SECONDS = 10.0
"""A stream without events sends a ping after this time."""

PREVIEW_SECONDS = 0.25
"""Minimum time between previews of a job; they also take at most a fifth of the time."""

UPDATE_SECONDS = 0.03
"""Minimum time between two updates of a job."""

END_MESSAGES = {
    JobState.TIMED_OUT: "The request exceeded the time limit.",
    JobState.FAILED: "The images could not be generated.",
    JobState.CANCELLED: "The job was cancelled.",
}


async def stream_job_events(
    scheduler: RequestScheduler, job: GenerationJob, watch: JobWatch, form: str
) -> AsyncGenerator[Event]:
    """Yield the events of a submitted job until it ends.

    Args:
        scheduler: The scheduler that runs the job.
        job: The job.
        watch: Waits for changes of the job.
        form: File format of the images.
    """
    sent: set[int] = set()
    previewed: dict[int, int] = {}
    next_preview = 0.0
    yield "job", {"id": job.id, "settings": collect_settings(job), "command": format_command(job)}
    while True:
        ended = job.ended  # before the images, so that none is missed
        async for event in _finished_images(job, form, sent):
            yield event
        if ended:
            break
        yield "progress", _progress(scheduler, job)
        started = time.monotonic()
        if started >= next_preview:
            async for event in _previews(job, previewed):
                yield event
            next_preview = started + max(PREVIEW_SECONDS, 4 * (time.monotonic() - started))
        while not await watch.wait_for_change(PING_SECONDS):
            yield "", {}
        await asyncio.sleep(UPDATE_SECONDS)
    if job.state == JobState.DONE:
        yield "done", _progress(scheduler, job)
    else:
        yield "error", {"code": job.state.value, "message": END_MESSAGES[job.state]}


def _progress(scheduler: RequestScheduler, job: GenerationJob) -> dict[str, Any]:
    status = scheduler.status(job.id) or job.status()
    return {
        "state": job.state.value,
        "place": status.queue_position,
        "step": status.steps_done,
        "steps": status.total_steps,
        "pictures": status.images_done,
    }


async def _finished_images(job: GenerationJob, form: str, sent: set[int]) -> AsyncIterator[Event]:
    for index in sorted(job.pixels.keys() - sent):
        yield "image", build_image_item(job, index, form, await encode_job_image(job, index, form))
        sent.add(index)


async def _previews(job: GenerationJob, previewed: dict[int, int]) -> AsyncIterator[Event]:
    """Yield a preview of each sample that has taken a step since its last one."""
    for sample in job.samples:
        denoised, steps_done = sample.denoised, sample.steps_done
        if denoised is not None and steps_done > previewed.get(sample.index, 0):
            previewed[sample.index] = steps_done
            image = base64.b64encode(await encode_preview(denoised, job)).decode()
            yield "preview", {"index": sample.index, "step": steps_done, "image": image}


def build_image_item(job: GenerationJob, index: int, form: str, content: bytes) -> dict[str, Any]:
    """Return a finished image in the form of `ImageItem`."""
    return {
        "image": base64.b64encode(content).decode(),
        "class": job.class_name,
        "seed": job.metadata.seed,
        "index": index,
        "format": form,
    }
