"""Waiting: for a job to go on, or for whoever asked for it to go away."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from iddm_cli.serving.scheduling.jobs import GenerationJob
from iddm_cli.serving.scheduling.scheduler import RequestScheduler


class JobWatch:
    """Follows a job from the event loop.

    Args:
        job: The job, not yet handed in.
    """

    def __init__(self, job: GenerationJob) -> None:
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            # The loop may be gone, and nobody left to be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._news.set)

        job.changed = tell

    async def news(self, seconds: float | None = None) -> bool:
        """Wait until something has happened; say whether it has, within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        happened = self._news.is_set()
        self._news.clear()
        return happened


async def finish(scheduler: RequestScheduler, job: GenerationJob, request: Request) -> None:
    """Hand a job in and wait for its end; if whoever asked goes away, so does the job.

    Raises:
        QueueFullError: Too many wait.
        StoppingError: The server is about to stop.
    """
    watch = JobWatch(job)
    scheduler.submit(job)
    gone = asyncio.ensure_future(_gone(request.receive))
    try:
        while not (job.ended or gone.done()):
            waiting = asyncio.ensure_future(watch.news())
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        scheduler.cancel(job)
        gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events, as long as somebody reads them.

    https://html.spec.whatwg.org/multipage/server-sent-events.html

    Args:
        events: Names and contents.
        at_end: Called when all are sent, or the reader is gone.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[tuple[str, Mapping[str, Any]]],
        at_end: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, {"x-accel-buffering": "no"}, self.media_type)
        del self.headers["content-length"]
        self.events = events
        self.at_end = at_end

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.at_end()
            gone.cancel()
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for name, content in self.events:
            text = f"event: {name}\ndata: {json.dumps(content)}\n\n" if name else ": ping\n\n"
            message = {"type": "http.response.body", "body": text.encode(), "more_body": True}
            await send(message)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
