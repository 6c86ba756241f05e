"""OpenAI's images API, for clients written for it: the prompt is the name of a class.

https://platform.openai.com/docs/api-reference/images/create
"""

import base64
import time

from fastapi import APIRouter, Request

from iddm_cli.serving.http.answers.job_files import encode_job_image
from iddm_cli.serving.http.error_handlers import ERROR_RESPONSES
from iddm_cli.serving.http.schemas import GenerationItem, GenerationRequest, GenerationsResponse
from iddm_cli.serving.http.service import (
    GenerationService,
    RequestError,
    check_done,
)
from iddm_cli.serving.http.streaming import submit_and_wait
from iddm_cli.serving.scheduling.served_model import ServedModel


def create_router(service: GenerationService) -> APIRouter:
    """Return the routes of OpenAI's images API."""
    router = APIRouter(prefix="/v1", responses=ERROR_RESPONSES)

    @router.post("/images/generations")
    async def generations(query: GenerationRequest, request: Request) -> GenerationsResponse:
        """Generate images as OpenAI's API does; seed, sampler, steps and guidance are optional."""
        model = service.find_generator(query.model)
        check_image_size(query.size, model)
        class_ = query.prompt if model.classes else None
        job = service.create_job(query, class_=class_, count=query.n or 1)
        await submit_and_wait(service.scheduler, job, request)
        check_done(job)
        form = query.output_format or "png"
        content = [await encode_job_image(job, index, form) for index in range(job.count)]
        items = [base64.b64encode(file).decode() for file in content]
        return GenerationsResponse(
            created=int(time.time()),
            data=[GenerationItem(b64_json=item, revised_prompt=job.class_name) for item in items],
            seed=job.metadata.seed,
            output_format=form,
        )

    return router


def check_image_size(size: str | None, model: ServedModel) -> None:
    """Check that a requested image size is the model's.

    Raises:
        RequestError: The model generates another size.
    """
    _, height, width = model.shape
    supported = f"{width}x{height}"
    if size not in (None, "auto", supported):
        raise RequestError(422, "no_such_size", f"size: this model generates {supported}.")
