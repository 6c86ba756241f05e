"""The generation service: requests become jobs, and finished jobs become files."""

import asyncio
import io
import math
import secrets
import shlex
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from iddm_cli import array_files, image_files
from iddm_cli.classes import find_class
from iddm_cli.engine.image_generator import to_image, to_pixels
from iddm_cli.errors import UsageError, did_you_mean
from iddm_cli.profiles.checking.rules import check_sampler_options
from iddm_cli.profiles.choices import GRIDS, SAMPLERS
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.serving.http.schemas import FILE_EXTENSIONS, ModelInfo, SamplingRequest
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import RequestScheduler
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics

RANDOM_SEEDS = 2**31
"""Bound of the seeds that the server chooses: short to copy, and exact in JavaScript."""


class RequestError(Exception):
    """A request that cannot be satisfied.

    Args:
        status: HTTP status.
        code: A short identifier.
        message: What is wrong, or what to do.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class GenerationService:
    """The served models, and what answering requests takes.

    Attributes:
        models: The models by name; the first one is the default.
        limits: Limits on requests.
        report: Called with a description of each failure, for the server's operator.
        metrics: Counters and histograms.
        scheduler: Runs the jobs.
    """

    models: Mapping[str, ServedModel]
    limits: Limits
    report: Callable[[str], None]
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    scheduler: RequestScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = RequestScheduler(self.limits)

    def find_model(self, name: str | None) -> ServedModel:
        """Return the model of a name; None stands for the first.

        Raises:
            RequestError: There is no such model.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            hint = did_you_mean(name, self.models)
            raise RequestError(404, "no_such_model", f"Unknown model. {hint}".strip())
        return self.models[name]

    def create_job(
        self, query: SamplingRequest, *, class_: str | int | None, count: int
    ) -> GenerationJob:
        """Turn a request into a job.

        Raises:
            RequestError: The request refers to something unknown, or exceeds a limit.
        """
        model = self.find_model(query.model)
        label = find_label(class_, model.classes)
        try:
            settings = self._resolve_sampling(query, model)
        except UsageError as error:
            message = f"{error.problem}. {error.hint}"
            raise RequestError(422, "no_tuned_table", message) from error
        max_count = self.limits.max_images(math.prod(model.shape))
        if count > max_count:
            message = f"count: at most {max_count} in one request."
            raise RequestError(422, "too_many_images", message)
        seed = secrets.randbelow(RANDOM_SEEDS) if query.seed is None else query.seed
        own_noise = query.noise == "own"
        plan = model.plan_samples(settings, label=label, seed=seed, own_noise=own_noise)
        return GenerationJob(
            model,
            plan,
            model.sampling_metadata(settings, plan),
            count,
            deadline=time.monotonic() + self.limits.request_seconds,
        )

    def _resolve_sampling(self, query: SamplingRequest, model: ServedModel) -> SamplingSettings:
        limit = max_steps(model, self.limits)
        if query.steps is not None and query.steps > limit:
            message = f"steps: this model takes at most {limit}."
            raise RequestError(422, "too_many_steps", message)
        interval = query.guidance_interval
        if interval is not None and interval[0] > interval[1]:
            message = "guidance_interval: the first number must not exceed the second."
            raise RequestError(422, "bad_interval", message)
        if model.no_guidance and query.guidance not in (None, 1):
            message = f"guidance: {model.no_guidance}; leave it out."
            raise RequestError(422, "no_guidance", message)
        defaults = model.resolve_sampling(query.sampler, None, query.guidance)
        settings = model.resolve_sampling(
            query.sampler,
            query.steps or min(limit, count_steps(defaults, model)),
            query.guidance,
            interval,
            time_grid=query.time_grid,
            order=query.order,
            guidance_rescale=query.guidance_rescale,
            threshold=query.threshold,
        )
        for issue in check_sampler_options(settings):
            raise RequestError(422, "bad_option", f"{issue.problem}.")
        return settings


def max_steps(model: ServedModel, limits: Limits) -> int:
    """Return the largest number of network calls that a request may ask for."""
    return min(limits.max_steps, len(model.denoiser.schedule))


def count_steps(settings: SamplingSettings, model: ServedModel) -> int:
    """Return the number of network calls that settings stand for."""
    return settings.steps or model.usual_steps(settings.sampler)


def find_label(class_: str | int | None, classes: tuple[str, ...]) -> int:
    """Return the label of a class, given by name or by index, the index as a number or as text.

    Raises:
        RequestError: There is no such class.
    """
    if not classes:
        if class_ is None:
            return 0
        raise RequestError(422, "no_classes", "class: this model was trained without classes.")
    if class_ is None:
        raise RequestError(422, "class_missing", "class: name one; GET /v1/models lists them.")
    if isinstance(class_, str):
        label = find_class(class_, classes)
    else:  # a number in JSON is an index, even if a class has that name
        label = class_ if 0 <= class_ < len(classes) else None
    if label is not None:
        return label
    hint = did_you_mean(str(class_)[:100], classes)
    message = f"class: this model has no such class. {hint}".strip()
    raise RequestError(422, "no_such_class", message)


def check_done(job: GenerationJob) -> None:
    """Check that a job has ended with all its images.

    Raises:
        RequestError: It was cancelled, timed out or failed.
    """
    match job.state:
        case JobState.TIMED_OUT:
            message = "The request exceeded the time limit; ask for fewer images or steps."
            raise RequestError(504, "late", message)
        case JobState.FAILED:
            message = f"The images could not be generated (job {job.id})."
            raise RequestError(500, "failed", message)
        case JobState.CANCELLED:
            raise RequestError(409, "cancelled", "The job was cancelled.")


def describe_model(model: ServedModel, limits: Limits) -> ModelInfo:
    """Return what a model can generate, with its defaults and limits."""
    limit = max_steps(model, limits)
    channels, height, width = model.shape
    defaults = model.resolve_sampling(None, None, None)
    return ModelInfo(
        id=model.name,
        classes=list(model.classes),
        image_size=[height, width],
        channels=channels,
        values=model.values.to_json(),
        samplers=list(model.samplers),
        time_grids=list(GRIDS),
        defaults={
            "sampler": defaults.sampler,
            "steps": min(limit, count_steps(defaults, model)),
            "time_grid": defaults.grid,
            "guidance": defaults.guidance,
            "guidance_interval": defaults.guidance_interval,
            "guidance_rescale": defaults.guidance_rescale,
            "threshold": defaults.threshold,
            "orders": list_orders(defaults),
            "usual_steps": {name: min(limit, model.usual_steps(name)) for name in model.samplers},
        },
        limits={
            "count": limits.max_images(math.prod(model.shape)),
            "steps": limit,
            "body": limits.max_body,
            "seconds": limits.request_seconds,
            "max_batch": limits.max_batch,
            "queue": limits.max_queue,
        },
        precision=model.precision,
        exact=model.is_invariant,
        guide_with=model.guide_with,
        takes_guidance=not model.no_guidance,
    )


def list_orders(defaults: SamplingSettings) -> dict[str, list[float]]:
    """Return lowest, highest and default order of each sampler that has several."""
    usual = {name: row.options["order"] for name, row in SAMPLERS.items() if "order" in row.ranges}
    own = defaults.sampler_options.get("order")
    if own is not None:
        usual[defaults.sampler] = own
    return {name: [*SAMPLERS[name].ranges["order"], order] for name, order in usual.items()}


def format_command(job: GenerationJob) -> str:
    """Return the `iddm generate` command line for the same images."""
    metadata = job.metadata
    words = ["iddm", "generate", job.model.reference]
    words += ["--class", _class_argument(job)] if job.class_name else []
    words += ["--count", str(job.count), "--seed", str(metadata.seed)]
    words += ["--sampler", metadata.sampler, "--steps", str(metadata.steps)]
    words += ["--time-grid", metadata.time_grid]
    words += [] if metadata.order is None else ["--order", str(metadata.order)]
    guidance = str(metadata.guidance).removesuffix(".0")
    words += ["--guidance", guidance]
    words += ["--guidance-interval", image_files.format_interval(metadata.guidance_interval)]
    rescale, threshold = metadata.guidance_rescale, metadata.threshold
    words += ["--guidance-rescale", str(rescale)] if rescale else []
    words += ["--threshold", str(threshold)] if threshold else []
    words += ["--guide-with", metadata.guide_with] if metadata.guide_with else []
    words += ["--checkpoint", str(metadata.step), "--weights", metadata.weights]
    words += ["--precision", metadata.precision]
    words += ["--same-noise"] if job.class_name and metadata.noise == "same" else []
    return shlex.join(words)


def _class_argument(job: GenerationJob) -> str:
    """Return the value of `--class`: the name, but the index of a class named `all`."""
    return str(job.plan.label) if job.class_name == "all" else job.class_name


def collect_settings(job: GenerationJob) -> dict[str, Any]:
    """Return a job's sampling settings, by the names that requests use."""
    return job.metadata.to_json() | {"class": job.class_name}


async def encode_job_image(job: GenerationJob, index: int, form: str) -> bytes:
    """Return a finished image as a file that carries its sampling metadata."""
    if form == "npy":
        values = job.model.values.to_values(job.pixels[index].numpy())
        return await asyncio.to_thread(array_files.encode_values, values, "npy")
    notes = job.text_notes(index)
    image = to_image(job.pixels[index])
    return await asyncio.to_thread(image_files.encode_image, image, FILE_EXTENSIONS[form], notes)


async def encode_preview(denoised: Tensor, job: GenerationJob) -> bytes:
    """Return the current estimate of an image, or of its latent, [C, H, W], as a PNG."""
    return await asyncio.to_thread(_encode_preview, denoised, job)


@torch.inference_mode()
def _encode_preview(denoised: Tensor, job: GenerationJob) -> bytes:
    pixels = to_pixels(model.decode(denoised)).permute(1, 2, 0).contiguous().cpu()
    return image_files.encode_image(to_image(pixels), "png")


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed zip archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
