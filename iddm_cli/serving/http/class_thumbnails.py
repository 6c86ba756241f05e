"""Class thumbnails: one sample image per class, generated on the first request and cached."""

import asyncio

from starlette.requests import Request

from iddm_cli.serving.http.answers.job_files import encode_job_image
from iddm_cli.serving.http.schemas import SamplingRequest
from iddm_cli.serving.http.service import GenerationService, RequestError
from iddm_cli.serving.http.streaming import submit_and_wait
from iddm_cli.serving.scheduling.jobs import JobState

MAX_CACHED = 4096
MAX_CONCURRENT = 4
SEED = 0
"""A fixed seed, so that every visitor sees the same images."""


class ClassThumbnails:
    """A cache of class thumbnails.

    Args:
        service: The service that generates them.
    """

    def __init__(self, service: GenerationService) -> None:
        self.service = service
        self._cache: dict[tuple[str, int], bytes] = {}
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def get(self, model: str, label: int, request: Request) -> bytes:
        """Return the PNG of a class; the label is 0 for a model without classes.

        Raises:
            RequestError: The model or class does not exist, or generation failed.
        """
        async with self._semaphore:
            if (model, label) not in self._cache:
                self._store((model, label), await self._generate(model, label, request))
        return self._cache[model, label]

    async def _generate(self, model: str, label: int, request: Request) -> bytes:
        found = self.service.find_model(model)
        if found.upscaler is not None:
            message = "This model upscales images; it has no thumbnails of classes."
            raise RequestError(404, "no_thumbnails", message)
        classes = found.classes
        if label >= max(1, len(classes)):
            raise RequestError(404, "no_such_class", "This model has no such class.")
        query = SamplingRequest(model=model, seed=SEED)
        class_ = classes[label] if classes else None
        job = self.service.create_job(query, class_=class_, count=1)
        await submit_and_wait(self.service.scheduler, job, request)
        if job.state != JobState.DONE:
            raise RequestError(503, "not_drawn", "The thumbnail could not be generated; try again.")
        return await encode_job_image(job, 0, "png")

    def _store(self, key: tuple[str, int], content: bytes) -> None:
        if len(self._cache) >= MAX_CACHED:
            self._cache.pop(next(iter(self._cache)))
        self._cache[key] = content
