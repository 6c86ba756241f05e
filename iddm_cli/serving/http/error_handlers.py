"""Error handlers: every failure is answered in one JSON form, never with a traceback."""

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
from iddm_cli.serving.http.security import encode_error
from iddm_cli.serving.http.service import GenerationService, RequestError
from iddm_cli.serving.http.upscaling.uploaded_images import UploadError
from iddm_cli.serving.scheduling.scheduler import QueueFullError, StoppingError
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics

STATUSES = {
    400: "Malformed HTTP or JSON.",
    401: "The token is missing or wrong.",
    403: "The request comes from another site's page, or names a host that is not allowed.",
    404: "Not found.",
    405: "Method not allowed.",
    409: "The job was cancelled.",
    411: "Content-Length is missing.",
    413: "The body is too long.",
    415: "The body is not JSON, or is compressed.",
    422: "A field is unknown, missing, of a wrong type or out of range; an image is not usable.",
    429: "The queue or the memory for images is full; Retry-After gives the seconds to wait.",
    500: "Internal error; the message has a number that the server's log repeats with details.",
    503: "The server is stopping.",
    504: "The request exceeded the time limit.",
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in STATUSES.items()
}


def build_error_response(status: int, code: str, message: str, **headers: str) -> Response:
    """Return an error in the JSON form that all errors have."""
    body = encode_error(code, message)
    return Response(body, status, headers=headers, media_type="application/json")


def add_error_handlers(app: FastAPI, service: GenerationService) -> None:
    """Register a handler for each kind of failure."""

    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> Response:
        return build_error_response(error.status, error.code, error.message)

    @app.exception_handler(UploadError)
    async def upload_error(_: Request, error: UploadError) -> Response:
        return build_error_response(422, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        return build_error_response(422, "invalid", format_validation_error(error))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        headers = error.headers or {}
        return build_error_response(error.status_code, "refused", str(error.detail), **headers)

    @app.exception_handler(QueueFullError)
    async def queue_full(_: Request, error: QueueFullError) -> Response:
        message = f"The queue is full; try again in {error.retry_after} s."
        headers = {"retry-after": str(error.retry_after)}
        return build_error_response(429, "queue_full", message, **headers)

    @app.exception_handler(StoppingError)
    async def stopping(_: Request, _error: StoppingError) -> Response:
        return build_error_response(503, "stopping", "The server is stopping.")

    @app.exception_handler(Exception)
    async def internal_error(_: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        trace = "".join(traceback.format_exception(error))
        service.report(f"a request failed ({number}):\n{trace}")
        return build_error_response(500, "defect", f"This is a defect of iddm, number {number}.")


class MetricsMiddleware:
    """Records every request, and swallows exceptions that have been reported and answered.

    Args:
        app: The application.
        metrics: Receives the number and duration of requests.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_record(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, send_and_record)
        except Exception:  # noqa: BLE001 - Starlette answers 500, then raises it again
            pass
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.count("iddm_requests_total", route=route, status=str(status))
            seconds = time.perf_counter() - started
            self.metrics.observe("iddm_request_seconds", seconds, route=route)


def format_validation_error(error: RequestValidationError) -> str:
    """Return which fields are wrong and why, without repeating the request's values."""
    lines = []
    for problem in error.errors()[:10]:
        field = ".".join(str(part) for part in problem["loc"][1:])
        lines.append(f"{field[:100] or 'the body'}: {problem['msg'][:200]}")
    return "; ".join(lines)
