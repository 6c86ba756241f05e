"""The service: from what a request says to a job, and from a job to files."""

import asyncio
import io
import math
import secrets
import shlex
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from iddm_cli import image_files
from iddm_cli.classes import find_class
from iddm_cli.engine.image_generator import to_image, to_pixels
from iddm_cli.errors import did_you_mean
from iddm_cli.profiles.choices import SAMPLERS, usual_steps
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.serving.http.schemas import FORMATS, ModelInfo, SamplingRequest
from iddm_cli.serving.scheduling.jobs import GenerationJob
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import RequestScheduler
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics

ANY_SEED = 2**31
"""Seeds that the server chooses are below this: easily read out, and exact in JavaScript."""


class RequestError(Exception):
    """A request that cannot be met: `status` and `code` say how, `message` says why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class GenerationService:
    """The models, and all that answering takes.

    Attributes:
        models: The models by name; the first is the one for requests that name none.
        limits: What is refused beyond.
        tell: Called with what went wrong, for whoever runs the server.
    """

    models: Mapping[str, ServedModel]
    limits: Limits
    tell: Callable[[str], None]
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    scheduler: RequestScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = RequestScheduler(self.limits)

    def model(self, name: str | None) -> ServedModel:
        """Return a model by name; the first, if none is named.

        Raises:
            Refused: There is no such model.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            hint = did_you_mean(name, self.models)
            raise RequestError(
                404, "no_such_model", f"There is no model of that name. {hint}".strip()
            )
        return self.models[name]

    def job(self, asked: SamplingRequest, *, class_: str | int | None, count: int) -> GenerationJob:
        """Turn a request into a job.

        Raises:
            Refused: It asks for what there is not, or for too much.
        """
        model = self.model(asked.model)
        label = find_label(class_, model.classes)
        most = max_steps(model, self.limits)
        if asked.steps is not None and asked.steps > most:
            raise RequestError(422, "too_many_steps", f"steps: this model takes at most {most}.")
        usual = model.settings(asked.sampler, None, asked.guidance)
        steps = asked.steps or min(most, resolve_steps(usual, model))
        settings = model.settings(asked.sampler, steps, asked.guidance)
        if count > self.limits.pictures(math.prod(model.shape)):
            most = self.limits.pictures(math.prod(model.shape))
            raise RequestError(422, "too_many_images", f"count: at most {most} in one request.")
        seed = secrets.randbelow(ANY_SEED) if asked.seed is None else asked.seed
        plan = model.plan(settings, label=label, seed=seed)
        return GenerationJob(
            model,
            plan,
            model.recipe(settings, plan),
            count,
            deadline=time.monotonic() + self.limits.seconds,
        )


def max_steps(model: ServedModel, limits: Limits) -> int:
    """Return the most steps that a request may ask for."""
    return min(limits.steps, len(model.denoiser.schedule))


def resolve_steps(settings: SamplingSettings, model: ServedModel) -> int:
    """Return the solver steps that the settings stand for."""
    return settings.steps or usual_steps(settings.sampler, len(model.denoiser.schedule))


def find_label(class_: str | int | None, classes: tuple[str, ...]) -> int:
    """Return the label of a class: by name, or by index, also one that is written as text.

    Raises:
        Refused: There is no such class.
    """
    if not classes:
        if class_ is None:
            return 0
        raise RequestError(422, "no_classes", "class: this model was trained without classes.")
    if class_ is None:
        raise RequestError(422, "class_missing", "class: name one; GET /v1/models lists them.")
    if isinstance(class_, str):
        label = find_class(class_, classes)
    else:  # a number in JSON is an index, even where a class is named by it
        label = class_ if 0 <= class_ < len(classes) else None
    if label is not None:
        return label
    hint = did_you_mean(str(class_)[:100], classes)
    raise RequestError(
        422, "no_such_class", f"class: the model knows no such class. {hint}".strip()
    )


def check_done(job: GenerationJob) -> None:
    """Refuse to answer with pictures that there are not.

    Raises:
        Refused: The job was not finished.
    """
    match job.state:
        case "late":
            raise RequestError(504, "late", "It took longer than any request may; ask for less.")
        case "failed":
            raise RequestError(500, "failed", f"The pictures could not be drawn (job {job.id}).")
        case "cancelled":
            raise RequestError(409, "cancelled", "The job was cancelled.")


def describe(model: ServedModel, limits: Limits) -> ModelInfo:
    """Say what a model can draw."""
    steps, most = len(model.denoiser.schedule), max_steps(model, limits)
    channels, height, width = model.shape
    defaults = model.settings(None, None, None)
    return ModelInfo(
        id=model.name,
        classes=list(model.classes),
        image_size=[height, width],
        channels=channels,
        samplers=list(SAMPLERS),
        defaults={
            "sampler": defaults.sampler,
            "steps": min(most, resolve_steps(defaults, model)),
            "guidance": defaults.guidance,
            "usual_steps": {name: min(most, usual_steps(name, steps)) for name in SAMPLERS},
        },
        limits={
            "count": limits.pictures(math.prod(model.shape)),
            "steps": most,
            "body": limits.body,
            "seconds": limits.seconds,
            "max_batch": limits.max_batch,
            "queue": limits.queue,
        },
        exact=model.exact.is_invariant,
    )


def generate_command(job: GenerationJob) -> str:
    """Return the command line that makes the same pictures."""
    recipe = job.recipe
    words = ["iddm", "generate", job.model.reference]
    words += ["--class", _as_generate_takes_it(job)] if job.name else []
    words += ["--count", str(job.count), "--seed", str(recipe.seed)]
    words += ["--sampler", recipe.sampler, "--steps", str(recipe.steps)]
    guidance = str(recipe.guidance).removesuffix(".0")
    words += ["--guidance", guidance, "--checkpoint", str(recipe.step)]
    return shlex.join([*words, "--weights", recipe.weights])


def _as_generate_takes_it(job: GenerationJob) -> str:
    """Return what `--class` takes for a job's class: its name, but `all` would be all of them."""
    return str(job.plan.label) if job.name == "all" else job.name


def job_settings(job: GenerationJob) -> dict[str, Any]:
    """Return how a job's pictures are made, by the names that requests use."""
    return asdict(job.recipe) | {"class": job.name}


async def encode_image(job: GenerationJob, index: int, form: str) -> bytes:
    """Return a finished picture as a file that says how it was made."""
    notes = job.recipe.text_notes(index, job.name)
    image = to_image(job.pixels[index])
    return await asyncio.to_thread(image_files.encode_image, image, FORMATS[form], notes)


async def preview(estimate: Tensor) -> bytes:
    """Return what the denoiser makes of an unfinished picture, [C, H, W], as a PNG."""
    return await asyncio.to_thread(_glimpse, estimate)


@torch.inference_mode()
def _glimpse(estimate: Tensor) -> bytes:
    pixels = to_pixels(estimate).permute(1, 2, 0).contiguous().cpu()
    return image_files.encode_image(to_image(pixels), "png")


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Put files into a zip, as they are; the same files make the same zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
