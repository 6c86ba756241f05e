"""Events of a job, as a stream tells them: its place, its progress, glimpses, pictures, the end.

What a slow reader has missed is not kept for it: it is told the newest state, and each picture.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from iddm_cli.serving.http.service import encode_image, generate_command, job_settings, preview
from iddm_cli.serving.http.streaming import JobWatch
from iddm_cli.serving.scheduling.jobs import GenerationJob
from iddm_cli.serving.scheduling.scheduler import RequestScheduler

Event = tuple[str, Mapping[str, Any]]
PING = 10.0
"""Seconds after which a silent stream says that it is alive."""

GLIMPSES = 0.25
"""Least seconds between two glimpses of a job's pictures; they take a fifth of the time at most."""

PACE = 0.03
"""Least seconds between two looks at a job."""

ENDS = {
    "late": "It took longer than any request may.",
    "failed": "The pictures could not be drawn.",
    "cancelled": "The job was cancelled.",
}


async def stream_job_events(
    scheduler: RequestScheduler, job: GenerationJob, watch: JobWatch, form: str
) -> AsyncGenerator[Event]:
    """Tell what happens to a job that was handed in, until it ends.

    Args:
        scheduler: Where it was handed in.
        job: The job.
        watch: Follows it.
        form: File format of the pictures.
    """
    sent: set[int] = set()
    previews: dict[int, int] = {}
    next_glimpse = 0.0
    yield "job", {"id": job.id, "settings": job_settings(job), "command": generate_command(job)}
    while True:
        ended = job.ended
        async for event in _finished(job, form, sent):
            yield event
        if ended:
            break
        yield "progress", _progress(scheduler, job)
        started = time.monotonic()
        if started >= next_glimpse:
            async for event in _glimpsed(job, previews):
                yield event
            took = time.monotonic() - started
            next_glimpse = started + max(GLIMPSES, 4 * took)
        while not await watch.news(PING):
            yield "", {}
        await asyncio.sleep(PACE)
    yield ("done", _progress(scheduler, job)) if job.state == "done" else ("error", _problem(job))


def _progress(scheduler: RequestScheduler, job: GenerationJob) -> dict[str, Any]:
    status = scheduler.status(job.id) or job.status()
    return {
        "state": job.state,
        "place": status.place,
        "step": status.step,
        "steps": status.steps,
        "pictures": status.pictures,
    }


def _problem(job: GenerationJob) -> dict[str, Any]:
    return {"code": job.state, "message": ENDS[job.state]}


async def _finished(job: GenerationJob, form: str, sent: set[int]) -> AsyncIterator[Event]:
    for index in sorted(job.pixels.keys() - sent):
        yield "image", picture(job, index, form, await encode_image(job, index, form))
        sent.add(index)


async def _glimpsed(job: GenerationJob, previews: dict[int, int]) -> AsyncIterator[Event]:
    for sample in job.samples:
        estimate, done = sample.denoised, sample.steps_done
        if estimate is not None and done > previews.get(sample.index, 0):
            previews[sample.index] = done
            image = base64.b64encode(await preview(estimate)).decode()
            yield "preview", {"index": sample.index, "step": done, "image": image}


def picture(job: GenerationJob, index: int, form: str, content: bytes) -> dict[str, Any]:
    """Return one picture as answers contain it."""
    return {
        "image": base64.b64encode(content).decode(),
        "class": job.name,
        "seed": job.recipe.seed,
        "index": index,
        "format": form,
    }
