"""Events of a job, as a stream tells them: its place, its progress, glimpses, pictures, the end.

What a slow reader has missed is not kept for it: it is told the newest state, and each picture.
"""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from iddm_cli.serving.http.service import command_line, encoded, glimpse, settings_of
from iddm_cli.serving.http.streaming import Watch
from iddm_cli.serving.scheduling.jobs import Job
from iddm_cli.serving.scheduling.scheduler import Desk

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


async def follow(desk: Desk, job: Job, watch: Watch, form: str) -> AsyncGenerator[Event]:
    """Tell what happens to a job that was handed in, until it ends.

    Args:
        desk: Where it was handed in.
        job: The job.
        watch: Follows it.
        form: File format of the pictures.
    """
    sent: set[int] = set()
    glimpses: dict[int, int] = {}
    next_glimpse = 0.0
    yield "job", {"id": job.id, "settings": settings_of(job), "command": command_line(job)}
    while True:
        ended = job.ended
        async for event in _finished(job, form, sent):
            yield event
        if ended:
            break
        yield "progress", _progress(desk, job)
        started = time.monotonic()
        if started >= next_glimpse:
            async for event in _glimpsed(job, glimpses):
                yield event
            took = time.monotonic() - started
            next_glimpse = started + max(GLIMPSES, 4 * took)
        while not await watch.news(PING):
            yield "", {}
        await asyncio.sleep(PACE)
    yield ("done", _progress(desk, job)) if job.state == "done" else ("error", _problem(job))


def _progress(desk: Desk, job: Job) -> dict[str, Any]:
    status = desk.status(job.id) or job.status()
    return {
        "state": job.state,
        "place": status.place,
        "step": status.step,
        "steps": status.steps,
        "pictures": status.pictures,
    }


def _problem(job: Job) -> dict[str, Any]:
    return {"code": job.state, "message": ENDS[job.state]}


async def _finished(job: Job, form: str, sent: set[int]) -> AsyncIterator[Event]:
    for index in sorted(job.pixels.keys() - sent):
        yield "image", picture(job, index, form, await encoded(job, index, form))
        sent.add(index)


async def _glimpsed(job: Job, glimpses: dict[int, int]) -> AsyncIterator[Event]:
    for drawing in job.drawings:
        estimate, done = drawing.estimate, drawing.done
        if estimate is not None and done > glimpses.get(drawing.index, 0):
            glimpses[drawing.index] = done
            image = base64.b64encode(await glimpse(estimate)).decode()
            yield "preview", {"index": drawing.index, "step": done, "image": image}


def picture(job: Job, index: int, form: str, content: bytes) -> dict[str, Any]:
    """Return one picture as answers contain it."""
    return {
        "image": base64.b64encode(content).decode(),
        "class": job.name,
        "seed": job.recipe.seed,
        "index": index,
        "format": form,
    }
