"""The FastAPI application: version 1 of the interface, health, metrics, and the web page."""

import json
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from iddm_cli import __version__
from iddm_cli.serving.http import openai
from iddm_cli.serving.http.answers.job_files import (
    collect_settings,
    encode_job_image,
    format_command,
    zip_files,
)
from iddm_cli.serving.http.class_thumbnails import ClassThumbnails
from iddm_cli.serving.http.error_handlers import ERROR_RESPONSES, add_error_handlers
from iddm_cli.serving.http.job_events import build_image_item, stream_job_events
from iddm_cli.serving.http.schemas import (
    FILE_EXTENSIONS,
    FormatName,
    ImageRequest,
    ImagesResponse,
    JobResponse,
    ModelsResponse,
    UpscaleRequest,
)
from iddm_cli.serving.http.service import (
    GenerationService,
    RequestError,
    check_done,
    describe_model,
)
from iddm_cli.serving.http.streaming import EventStream, JobWatch, submit_and_wait
from iddm_cli.serving.http.upscaling.upscale_jobs import create_upscale_job
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobStatus

PAGE_FILES = {
    "/": "text/html",
    "/app.js": "text/javascript",
    "/zip.js": "text/javascript",
    "/style.css": "text/css",
}
JobId = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]


def create_app(service: GenerationService) -> FastAPI:
    """Return the application; a `SamplingWorker` has to compute the jobs that it submits."""
    app = FastAPI(
        title="iddm",
        version=__version__,
        summary="Images from trained diffusion models.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_error_handlers(app, service)
    app.include_router(_image_routes(service))
    app.include_router(_model_routes(service))
    app.include_router(_job_routes(service))
    app.include_router(_status_routes(service))
    app.include_router(openai.create_router(service))
    _add_page(app)
    return app


def _image_routes(service: GenerationService) -> APIRouter:
    router = APIRouter(prefix="/v1", responses=ERROR_RESPONSES)
    kinds: dict[str, Any] = {"application/zip": {}, "text/event-stream": {}}
    stream: dict[str, Any] = {"text/event-stream": {}}

    @router.post("/images", response_model=ImagesResponse, responses={200: {"content": kinds}})
    async def images(query: ImageRequest, request: Request) -> Response:
        """Generate images of one class."""
        job = service.create_job(query, class_=query.class_, count=query.count)
        if query.response == "stream":
            return _stream_job(service, job, query.format)
        content = await _finish_job(service, job, query.format, request)
        if query.response == "zip":
            return _zip_response(job, query.format, content)
        return _json_response(job, query.format, content)

    @router.post("/upscale", response_model=ImagesResponse, responses={200: {"content": stream}})
    async def upscale(query: UpscaleRequest, request: Request) -> Response:
        """Upscale an image with a model that was trained for it."""
        job = await create_upscale_job(service, query)
        if query.response == "stream":
            return _stream_job(service, job, query.format)
        return _json_response(
            job, query.format, await _finish_job(service, job, query.format, request)
        )

    return router


def _stream_job(service: GenerationService, job: GenerationJob, form: FormatName) -> EventStream:
    watch = JobWatch(job)
    service.scheduler.submit(job)
    events = stream_job_events(service.scheduler, job, watch, form)
    return EventStream(events, on_close=lambda: service.scheduler.cancel(job))


async def _finish_job(
    service: GenerationService, job: GenerationJob, form: FormatName, request: Request
) -> list[bytes]:
    """Return the files of a job, once it is done."""
    await submit_and_wait(service.scheduler, job, request)
    check_done(job)
    return [await encode_job_image(job, index, form) for index in range(job.count)]


def _json_response(job: GenerationJob, form: FormatName, content: list[bytes]) -> Response:
    items = [build_image_item(job, i, form, file) for i, file in enumerate(content)]
    return JSONResponse(_describe_job(job) | {"images": items})


def _describe_job(job: GenerationJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "model": job.model.name,
        "settings": collect_settings(job),
        "command": format_command(job),
    }


def _zip_response(job: GenerationJob, form: str, content: list[bytes]) -> Response:
    names = [f"image-{index:06d}.{FILE_EXTENSIONS[form]}" for index in range(job.count)]
    manifest = _describe_job(job) | {"images": names}
    encoded = json.dumps(manifest, indent=1, ensure_ascii=False).encode()
    archive = zip_files({**dict(zip(names, content, strict=True)), "manifest.json": encoded})
    headers = {"content-disposition": 'attachment; filename="images.zip"'}
    return Response(archive, media_type="application/zip", headers=headers)


def _model_routes(service: GenerationService) -> APIRouter:
    router = APIRouter(prefix="/v1/models", responses=ERROR_RESPONSES)
    thumbnails = ClassThumbnails(service)

    @router.get("")
    async def models() -> ModelsResponse:
        """List the models with their classes and limits."""
        listed = [describe_model(model, service.limits) for model in service.models.values()]
        return ModelsResponse(data=listed)

    @router.get("/{model}/thumbnails/{label}", response_class=Response)
    async def thumbnail(
        model: str, label: Annotated[int, Path(ge=0, lt=2**31)], request: Request
    ) -> Response:
        """Return a sample image of a class; it is generated once and cached."""
        return Response(await thumbnails.get(model, label, request), media_type="image/png")

    return router


def _job_routes(service: GenerationService) -> APIRouter:
    router = APIRouter(prefix="/v1/jobs", responses=ERROR_RESPONSES)

    @router.get("/{id}")
    async def job(id: JobId) -> JobResponse:
        """Return the progress of a job."""
        return _job_response(service.scheduler.status(id))

    @router.delete("/{id}")
    async def cancel(id: JobId) -> JobResponse:
        """Cancel a job."""
        return _job_response(service.scheduler.cancel_by_id(id))

    return router


def _job_response(status: JobStatus | None) -> JobResponse:
    if status is None:
        raise RequestError(404, "no_such_job", "Unknown job id; ended jobs are forgotten in time.")
    return JobResponse(
        id=status.id,
        model=status.model,
        state=status.state.value,
        place=status.queue_position,
        count=status.count,
        pictures=status.images_done,
        step=status.steps_done,
        steps=status.total_steps,
    )


def _status_routes(service: GenerationService) -> APIRouter:
    router = APIRouter(responses=ERROR_RESPONSES)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Return 200 while the process responds."""
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> dict[str, str]:
        """Return 200 while the server accepts requests, 503 while it stops."""
        if service.scheduler.stopping:
            raise RequestError(503, "stopping", "The server is stopping.")
        return {"status": "ready"}

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Return the metrics in the text format of Prometheus."""
        return service.metrics.render(service.scheduler.count_jobs())

    return router


def _add_page(app: FastAPI) -> None:
    folder = files("iddm_cli.serving") / "page"
    for path, media_type in PAGE_FILES.items():
        content = (folder / (path[1:] or "index.html")).read_bytes()

        def send_file(content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, media_type=media_type)

        app.add_api_route(path, send_file, include_in_schema=False)
