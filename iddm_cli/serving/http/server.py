"""The server: uvicorn with our limits, until it is asked to stop."""

import asyncio
import contextlib
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from iddm_cli.serving.http.app import create_app
from iddm_cli.serving.http.error_handlers import MetricsMiddleware
from iddm_cli.serving.http.security import AccessPolicy, SecurityMiddleware
from iddm_cli.serving.http.service import GenerationService
from iddm_cli.serving.http.timed_protocol import TimedProtocol
from iddm_cli.serving.scheduling.worker import SamplingWorker
from iddm_cli.signals import STOP_SIGNALS, is_ignored

LAST_WORDS = 3.0
"""Seconds in which those whose jobs are cancelled at the end are told so."""


def build_asgi_app(service: GenerationService, policy: AccessPolicy) -> ASGIApp:
    """Return the application behind its gate."""
    gate = SecurityMiddleware(create_app(service), policy, service.limits)
    return MetricsMiddleware(gate, service.metrics)


class ImageServer(uvicorn.Server):
    """A server that stops at the first SIGINT, SIGTERM or SIGHUP, and at once at the second.

    Attributes:
        stopped_by: The signal; None before.

    Args:
        service: What it serves.
        policy: Who may ask.
        ready: Called when it answers.
    """

    def __init__(
        self, service: GenerationService, policy: AccessPolicy, ready: Callable[[], None]
    ) -> None:
        limits = service.limits
        protocol: Any = partial(TimedProtocol, limits=limits, clients=Counter())
        config = uvicorn.Config(
            build_asgi_app(service, policy),
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=round(limits.grace + LAST_WORDS),
            h11_max_incomplete_event_size=limits.head,
        )
        super().__init__(config)
        self.service = service
        self.ready = ready
        self.worker = SamplingWorker(service.scheduler, service.metrics, service.tell)
        self.stopped_by: int | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer and draw, until it is asked to stop."""
        self.worker.start()
        try:
            await super().serve(sockets)
        finally:
            self.service.scheduler.stop(at_once=True)
            # An interpreter that ends while a step is computed aborts.
            self.worker.thread.join(self.service.limits.grace)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer, and say so."""
        await super().startup(sockets)
        self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While serving, let signals ask for the end."""
        heard = [number for number in STOP_SIGNALS if not is_ignored(number)]
        try:
            before = {number: signal.signal(number, self._ask) for number in heard}
        except ValueError:  # not in the main thread, as in tests
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new jobs, give those there are some time, cancel the rest, and end."""
        scheduler, grace = self.service.scheduler, self.service.limits.grace
        scheduler.stop()
        end = asyncio.get_running_loop().call_later(grace, partial(scheduler.stop, at_once=True))
        await super().shutdown(sockets)
        end.cancel()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.stopped_by is not None
        self.stopped_by = number
        self.should_exit = True


def run(server: ImageServer, listener: socket.socket) -> int | None:
    """Serve until a signal asks for the end; return the signal."""
    asyncio.run(server.serve([listener]))
    return server.stopped_by
