"""The HTTP interface: routes of version 1, health, metrics, and the web page."""

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from iddm_cli import __version__
from iddm_cli.serving.http import openai
from iddm_cli.serving.http.class_thumbnails import ClassThumbnails
from iddm_cli.serving.http.error_handlers import ERRORS, add_error_handlers
from iddm_cli.serving.http.job_events import picture, stream_job_events
from iddm_cli.serving.http.schemas import (
    FORMATS,
    ImageRequest,
    ImagesResponse,
    JobResponse,
    ModelsResponse,
)
from iddm_cli.serving.http.service import (
    GenerationService,
    RequestError,
    check_done,
    describe,
    encode_image,
    generate_command,
    job_settings,
    zip_files,
)
from iddm_cli.serving.http.streaming import EventStream, JobWatch, finish
from iddm_cli.serving.scheduling.jobs import GenerationJob

PAGE = {
    "/": "text/html",
    "/app.js": "text/javascript",
    "/zip.js": "text/javascript",
    "/style.css": "text/css",
}
JobId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]


def create_app(service: GenerationService) -> FastAPI:
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
    add_error_handlers(app, service)
    app.include_router(_images(service))
    app.include_router(_looking(service))
    app.include_router(openai.router(service))
    _add_page(app)
    return app


def _images(service: GenerationService) -> APIRouter:
    router = APIRouter(prefix="/v1", responses=ERRORS)
    kinds: dict[str, Any] = {"application/zip": {}, "text/event-stream": {}}

    @router.post("/images", response_model=ImagesResponse, responses={200: {"content": kinds}})
    async def images(asked: ImageRequest, request: Request) -> Response:
        """Draw pictures of one class."""
        job = service.job(asked, class_=asked.class_, count=asked.count)
        if asked.response == "stream":
            watch = JobWatch(job)
            service.scheduler.submit(job)
            events = stream_job_events(service.scheduler, job, watch, asked.format)
            return EventStream(events, at_end=lambda: service.scheduler.cancel(job))
        await finish(service.scheduler, job, request)
        check_done(job)
        content = [await encode_image(job, index, asked.format) for index in range(job.count)]
        if asked.response == "zip":
            return _zip(job, asked.format, content)
        found = [picture(job, i, asked.format, file) for i, file in enumerate(content)]
        return JSONResponse(_answer(job) | {"images": found})

    return router


def _answer(job: GenerationJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "model": job.model.name,
        "settings": job_settings(job),
        "command": generate_command(job),
    }


def _zip(job: GenerationJob, form: str, content: list[bytes]) -> Response:
    names = [f"image-{index:06d}.{FORMATS[form]}" for index in range(job.count)]
    manifest = json.dumps(_answer(job) | {"images": names}, indent=1, ensure_ascii=False).encode()
    archive = zip_files({**dict(zip(names, content, strict=True)), "manifest.json": manifest})
    named = {"content-disposition": 'attachment; filename="images.zip"'}
    return Response(archive, media_type="application/zip", headers=named)


def _looking(service: GenerationService) -> APIRouter:
    router = APIRouter(responses=ERRORS)
    thumbnails = ClassThumbnails(service)

    @router.get("/v1/models")
    async def models() -> ModelsResponse:
        """List the models, their classes and limits."""
        listed = [describe(model, service.limits) for model in service.models.values()]
        return ModelsResponse(data=listed)

    @router.get("/v1/models/{model}/thumbnails/{label}", response_class=Response)
    async def thumbnail(
        model: str, label: Annotated[int, Path(ge=0, lt=2**31)], request: Request
    ) -> Response:
        """Draw a small picture of a class, once."""
        return Response(await thumbnails.get(model, label, request), media_type="image/png")

    @router.get("/v1/jobs/{id}")
    async def job(id: JobId) -> JobResponse:
        """Say how far a job is."""
        return _known(service.scheduler.status(id))

    @router.delete("/v1/jobs/{id}")
    async def cancel(id: JobId) -> JobResponse:
        """Cancel a job."""
        return _known(service.scheduler.cancel_by_id(id))

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        """Say whether requests are taken."""
        if service.scheduler.stopping:
            raise RequestError(503, "stopping", "The server is about to stop.")
        return {"status": "ready"}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return what Prometheus collects."""
        return service.metrics.text(service.scheduler.count_jobs())

    return router


def _known(status: Any) -> JobResponse:
    if status is None:
        raise RequestError(404, "no_such_job", "There is no job of that id, or not any more.")
    return JobResponse(**asdict(status))


def _add_page(app: FastAPI) -> None:
    folder = files("iddm_cli.serving") / "page"
    for path, kind in PAGE.items():
        content = (folder / (path[1:] or "index.html")).read_bytes()

        def serve(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=kind)

        app.add_api_route(path, serve, include_in_schema=False)
