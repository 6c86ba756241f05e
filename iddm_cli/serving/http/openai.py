"""The images API of OpenAI, so that clients written for it work: the prompt is a class's name.

https://platform.openai.com/docs/api-reference/images/create
"""

import base64
import time

from fastapi import APIRouter, Request

from iddm_cli.serving.http.error_handlers import ERRORS
from iddm_cli.serving.http.schemas import GenerationItem, GenerationRequest, GenerationsResponse
from iddm_cli.serving.http.service import GenerationService, RequestError, check_done, encode_image
from iddm_cli.serving.http.streaming import finish
from iddm_cli.serving.scheduling.served_model import ServedModel


def router(service: GenerationService) -> APIRouter:
    """Return its routes."""
    routes = APIRouter(prefix="/v1", responses=ERRORS)

    @routes.post("/images/generations")
    async def generations(asked: GenerationRequest, request: Request) -> GenerationsResponse:
        """Draw pictures as OpenAI's images API does; seed, sampler, steps, guidance are extras."""
        model = service.model(asked.model)
        check_size(asked.size, model)
        class_ = asked.prompt if model.classes else None
        job = service.job(asked, class_=class_, count=asked.n or 1)
        await finish(service.scheduler, job, request)
        check_done(job)
        form = asked.output_format or "png"
        content = [await encode_image(job, index, form) for index in range(job.count)]
        items = [base64.b64encode(file).decode() for file in content]
        return GenerationsResponse(
            created=int(time.time()),
            data=[GenerationItem(b64_json=item, revised_prompt=job.name) for item in items],
            seed=job.recipe.seed,
            output_format=form,
        )

    return routes


def check_size(size: str | None, model: ServedModel) -> None:
    """Refuse another size than the model's.

    Raises:
        Refused: It draws no pictures of that size.
    """
    _, height, width = model.shape
    own = f"{width}x{height}"
    if size not in (None, "auto", own):
        raise RequestError(422, "no_such_size", f"size: this model draws {own}.")
