"""The server process: uvicorn with our limits, until a signal stops it."""

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

CANCEL_NOTICE_SECONDS = 3.0
"""Time for answering the requests whose jobs are cancelled when the server stops."""


def build_asgi_app(service: GenerationService, policy: AccessPolicy) -> ASGIApp:
    """Return the application wrapped into the security checks and the request metrics."""
    secured = SecurityMiddleware(create_app(service), policy, service.limits)
    return MetricsMiddleware(secured, service.metrics)


class ImageServer(uvicorn.Server):
    """A server that stops gracefully at the first stop signal, and at once at the second.

    Attributes:
        stopped_by: The number of the first stop signal; None before.

    Args:
        service: The service behind the interface.
        policy: Who may use it.
        on_ready: Called once the server accepts requests.
    """

    def __init__(
        self, service: GenerationService, policy: AccessPolicy, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(_uvicorn_config(service, policy))
        self.service = service
        self.on_ready = on_ready
        self.worker = SamplingWorker(service.scheduler, service.metrics, service.report)
        self.stopped_by: int | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer requests and generate images until a signal stops the server."""
        self.worker.start()
        try:
            await super().serve(sockets)
        finally:
            self.service.scheduler.stop(cancel_jobs=True)
            # The interpreter aborts if it ends during a solver step.
            self.worker.thread.join(self.service.limits.grace_seconds)
            self.service.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept requests, then call `on_ready`."""
        await super().startup(sockets)
        self.on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle stop signals while serving."""
        handled = [number for number in STOP_SIGNALS if not is_ignored(number)]
        try:
            previous = {number: signal.signal(number, self._stop) for number in handled}
        except ValueError:  # not in the main thread, as in tests
            previous = {}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Reject new jobs, let the running ones finish within the grace time, then stop."""
        scheduler, grace = self.service.scheduler, self.service.limits.grace_seconds
        scheduler.stop()
        cancel = partial(scheduler.stop, cancel_jobs=True)
        timer = asyncio.get_running_loop().call_later(grace, cancel)
        await super().shutdown(sockets)
        timer.cancel()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.stopped_by is not None
        self.stopped_by = number
        self.should_exit = True


def _uvicorn_config(service: GenerationService, policy: AccessPolicy) -> uvicorn.Config:
    limits = service.limits
    protocol: Any = partial(TimedProtocol, limits=limits, clients=Counter())
    return uvicorn.Config(
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
        limit_concurrency=limits.max_connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=round(limits.grace_seconds + CANCEL_NOTICE_SECONDS),
        h11_max_incomplete_event_size=limits.max_head,
    )


def run_server(server: ImageServer, listener: socket.socket) -> int | None:
    """Serve until a signal stops the server; return the signal's number."""
    asyncio.run(server.serve([listener]))
    return server.stopped_by
