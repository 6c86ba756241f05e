"""The HTTP interface: routes of version 1, health, metrics, and the web page."""

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from iddm_cli import __version__
from iddm_cli.serving.http import openai
from iddm_cli.serving.http.class_thumbnails import Thumbnails
from iddm_cli.serving.http.error_handlers import ERRORS, add_handlers
from iddm_cli.serving.http.job_events import follow, picture
from iddm_cli.serving.http.schemas import (
    FORMATS,
    ImageRequest,
    ImagesAnswer,
    JobAnswer,
    ModelsAnswer,
)
from iddm_cli.serving.http.service import (
    Refused,
    Service,
    check_done,
    command_line,
    describe,
    encoded,
    settings_of,
    zipped,
)
from iddm_cli.serving.http.streaming import EventStream, Watch, finish
from iddm_cli.serving.scheduling.jobs import Job

PAGE = {
    "/": "text/html",
    "/app.js": "text/javascript",
    "/zip.js": "text/javascript",
    "/style.css": "text/css",
}
JobId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]


def create_app(service: Service) -> FastAPI:
    """Make the application; somebody else sees to it that jobs are drawn."""
    app = FastAPI(
        title="iddm",
        version=__version__,
        summary="Pictures of trained diffusion models.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_handlers(app, service)
    app.include_router(_images(service))
    app.include_router(_looking(service))
    app.include_router(openai.router(service))
    _add_page(app)
    return app


def _images(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", responses=ERRORS)
    kinds: dict[str, Any] = {"application/zip": {}, "text/event-stream": {}}

    @router.post("/images", response_model=ImagesAnswer, responses={200: {"content": kinds}})
    async def images(asked: ImageRequest, request: Request) -> Response:
        """Draw pictures of one class."""
        job = service.job(asked, class_=asked.class_, count=asked.count)
        if asked.response == "stream":
            watch = Watch(job)
            service.desk.submit(job)
            events = follow(service.desk, job, watch, asked.format)
            return EventStream(events, at_end=lambda: service.desk.cancel(job))
        await finish(service.desk, job, request)
        check_done(job)
        content = [await encoded(job, index, asked.format) for index in range(job.count)]
        if asked.response == "zip":
            return _zip(job, asked.format, content)
        found = [picture(job, i, asked.format, file) for i, file in enumerate(content)]
        return JSONResponse(_answer(job) | {"images": found})

    return router


def _answer(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "model": job.model.name,
        "settings": settings_of(job),
        "command": command_line(job),
    }


def _zip(job: Job, form: str, content: list[bytes]) -> Response:
    names = [f"image-{index:06d}.{FORMATS[form]}" for index in range(job.count)]
    manifest = json.dumps(_answer(job) | {"images": names}, indent=1, ensure_ascii=False).encode()
    archive = zipped({**dict(zip(names, content, strict=True)), "manifest.json": manifest})
    named = {"content-disposition": 'attachment; filename="images.zip"'}
    return Response(archive, media_type="application/zip", headers=named)


def _looking(service: Service) -> APIRouter:
    router = APIRouter(responses=ERRORS)
    thumbnails = Thumbnails(service)

    @router.get("/v1/models")
    async def models() -> ModelsAnswer:
        """List the models, their classes and limits."""
        listed = [describe(model, service.limits) for model in service.models.values()]
        return ModelsAnswer(data=listed)

    @router.get("/v1/models/{model}/thumbnails/{label}", response_class=Response)
    async def thumbnail(
        model: str, label: Annotated[int, Path(ge=0, lt=2**31)], request: Request
    ) -> Response:
        """Draw a small picture of a class, once."""
        return Response(await thumbnails.get(model, label, request), media_type="image/png")

    @router.get("/v1/jobs/{id}")
    async def job(id: JobId) -> JobAnswer:
        """Say how far a job is."""
        return _known(service.desk.status(id))

    @router.delete("/v1/jobs/{id}")
    async def cancel(id: JobId) -> JobAnswer:
        """Cancel a job."""
        return _known(service.desk.cancel_named(id))

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        """Say whether requests are taken."""
        if service.desk.stopping:
            raise Refused(503, "stopping", "The server is about to stop.")
        return {"status": "ready"}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return what Prometheus collects."""
        return service.metrics.text(service.desk.counts())

    return router


def _known(status: Any) -> JobAnswer:
    if status is None:
        raise Refused(404, "no_such_job", "There is no job of that id, or not any more.")
    return JobAnswer(**asdict(status))


def _add_page(app: FastAPI) -> None:
    folder = files("iddm_cli.serving") / "page"
    for path, kind in PAGE.items():
        content = (folder / (path[1:] or "index.html")).read_bytes()

        def serve(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind)

        app.add_api_route(path, serve, include_in_schema=False)
