"""Failures: how what went wrong is answered: always the same form, never a trace."""

import secrets
import time
import traceback
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iddm_cli.serving.http.schemas import ErrorResponse
from iddm_cli.serving.http.security import error_body
from iddm_cli.serving.http.service import GenerationService, RequestError
from iddm_cli.serving.scheduling.scheduler import QueueFullError, StoppingError
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics

STATUSES = {
    400: "Not HTTP as it should be.",
    401: "The token is missing or wrong.",
    403: "Another site's page, or a name that is not the server's.",
    404: "There is no such thing.",
    405: "Not this way.",
    409: "The job was cancelled.",
    411: "The length is missing.",
    413: "Too long.",
    415: "Not JSON, or compressed.",
    422: "A field is unknown, missing, of a wrong type or out of range.",
    429: "Too many wait; Retry-After says when to ask again.",
    500: "A defect; the message has a number under which the server's own output tells more.",
    503: "The server is about to stop.",
    504: "It took longer than any request may.",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in STATUSES.items()
}


def error_response(status: int, code: str, message: str, **headers: str) -> Response:
    """Return an error as it is answered."""
    body = error_body(code, message)
    return Response(body, status, headers=headers, media_type="application/json")


def add_error_handlers(app: FastAPI, service: GenerationService) -> None:
    """Make the application answer all that goes wrong in one form."""

    @app.exception_handler(RequestError)
    async def refused(_: Request, problem: RequestError) -> Response:
        return error_response(problem.status, problem.code, problem.message)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> Response:
        return error_response(422, "invalid", format_validation_error(problem))

    @app.exception_handler(HTTPException)
    async def wrong(_: Request, problem: HTTPException) -> Response:
        return error_response(
            problem.status_code, "refused", str(problem.detail), **(problem.headers or {})
        )

    @app.exception_handler(QueueFullError)
    async def full(_: Request, problem: QueueFullError) -> Response:
        message = f"Too many requests wait; ask again in {problem.seconds} s."
        return error_response(429, "queue_full", message, **{"retry-after": str(problem.seconds)})

    @app.exception_handler(StoppingError)
    async def stopping(_: Request, _problem: StoppingError) -> Response:
        return error_response(503, "stopping", "The server is about to stop.")

    @app.exception_handler(Exception)
    async def defect(_: Request, problem: Exception) -> Response:
        number = secrets.token_hex(4)
        trace = "".join(traceback.format_exception(problem))
        service.tell(f"a request failed ({number}):\n{trace}")
        return error_response(500, "defect", f"This is a defect of iddm, number {number}.")


class MetricsMiddleware:
    """Counts every request, and lets no exception out: it has been told already.

    Args:
        app: The application.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception:  # noqa: BLE001 - Starlette answers 500, and raises it again
            pass
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.count("iddm_requests_total", route=route, status=str(status))
            seconds = time.perf_counter() - started
            self.metrics.observe("iddm_request_seconds", seconds, route=route)


def format_validation_error(problem: RequestValidationError) -> str:
    """Say which fields are wrong and why, without repeating what was sent."""
    lines = []
    for error in problem.errors()[:10]:
        place = ".".join(str(part) for part in error["loc"][1:])
        lines.append(f"{place[:100] or 'the body'}: {error['msg'][:200]}")
    return "; ".join(lines)
