"""Waiting for jobs, and for clients to disconnect; server-sent events."""

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
    """Lets the event loop wait for changes of a job.

    Args:
        job: The job, not yet submitted.
    """

    def __init__(self, job: GenerationJob) -> None:
        self._changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def notify() -> None:
            # The loop may be closed already, with nothing left to wait for the job.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed.set)

        job.on_change = notify

    async def wait_for_change(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for a change; return whether there was one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


async def submit_and_wait(
    scheduler: RequestScheduler, job: GenerationJob, request: Request
) -> None:
    """Submit a job and wait for its end; cancel it if the client disconnects.

    Raises:
        QueueFullError: The queue is full.
        StoppingError: The server is stopping.
    """
    watch = JobWatch(job)
    scheduler.submit(job)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request.receive))
    try:
        while not (job.ended or disconnect.done()):
            change = asyncio.ensure_future(watch.wait_for_change())
            await asyncio.wait({change, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
    finally:
        scheduler.cancel(job)
        disconnect.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """A response of server-sent events, which ends when the client disconnects.

    https://html.spec.whatwg.org/multipage/server-sent-events.html

    Args:
        events: Names and contents; an empty name sends a ping.
        on_close: Called when all events are sent, or the client has disconnected.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[tuple[str, Mapping[str, Any]]],
        on_close: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, {"x-accel-buffering": "no"}, self.media_type)
        del self.headers["content-length"]
        self.events = events
        self.on_close = on_close

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        sending = asyncio.ensure_future(self._send(send))
        disconnect = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await asyncio.wait({sending, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.on_close()
            disconnect.cancel()
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
