"""Thumbnails: one picture of each class, drawn when it is first asked for, and kept."""

import asyncio

from starlette.requests import Request

from iddm_cli.serving.http.schemas import SamplingRequest
from iddm_cli.serving.http.service import GenerationService, RequestError, encode_image
from iddm_cli.serving.http.streaming import finish

MOST_KEPT = 4096
SEED = 0
"""Everybody sees the same pictures."""


class ClassThumbnails:
    """The pictures of classes.

    Args:
        service: Who draws them.
    """

    def __init__(self, service: GenerationService) -> None:
        self.service = service
        self._kept: dict[tuple[str, int], bytes] = {}
        self._one_at_a_time = asyncio.Semaphore(4)

    async def get(self, model: str, label: int, request: Request) -> bytes:
        """Return the PNG of a class; label 0 where the model knows none.

        Raises:
            Refused: There is no such model or class, or it could not be drawn.
        """
        async with self._one_at_a_time:
            if (model, label) not in self._kept:
                self._keep((model, label), await self._draw(model, label, request))
        return self._kept[model, label]

    async def _draw(self, model: str, label: int, request: Request) -> bytes:
        classes = self.service.model(model).classes
        if label >= max(1, len(classes)):
            raise RequestError(404, "no_such_class", "The model knows no such class.")
        asked = SamplingRequest(model=model, seed=SEED)
        job = self.service.job(asked, class_=classes[label] if classes else None, count=1)
        await finish(self.service.scheduler, job, request)
        if job.state != "done":
            raise RequestError(503, "not_drawn", "The picture could not be drawn; ask again.")
        return await encode_image(job, 0, "png")

    def _keep(self, key: tuple[str, int], content: bytes) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = content
