"""The generation service: it finds models, and turns requests into jobs."""

import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from iddm_cli.classes import find_class
from iddm_cli.errors import UsageError, did_you_mean
from iddm_cli.profiles.checking.rules import check_sampler_options
from iddm_cli.profiles.choices import GRIDS, SAMPLERS
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.serving.http.schemas import (
    ModelInfo,
    SamplerRequest,
    SamplingRequest,
)
from iddm_cli.serving.http.upscaling.uploaded_images import UploadReader
from iddm_cli.serving.scheduling.jobs import GenerationJob, JobState
from iddm_cli.serving.scheduling.limits import Limits
from iddm_cli.serving.scheduling.scheduler import RequestScheduler
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.server_metrics import ServerMetrics
from iddm_cli.serving.scheduling.upscaler_traits import UpscalerTraits

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
        models: The models by name; the first one of a kind is the default.
        limits: Limits on requests.
        report: Called with a description of each failure, for the server's operator.
        metrics: Counters and histograms.
        scheduler: Runs the jobs.
        uploads: Decodes the images of requests.
    """

    models: Mapping[str, ServedModel]
    limits: Limits
    report: Callable[[str], None]
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    scheduler: RequestScheduler = field(init=False)
    uploads: UploadReader = field(default_factory=UploadReader)

    def __post_init__(self) -> None:
        self.scheduler = RequestScheduler(self.limits)

    def close(self) -> None:
        """Release what outlives the requests; no request is answered afterwards."""
        self.uploads.close()

    def find_model(self, name: str | None, *, upscales: bool = False) -> ServedModel:
        """Return the model of a name; None stands for the first of the wanted kind.

        Raises:
            RequestError: There is no such model.
        """
        if name is None:
            models = list(self.models.values())
            return next((m for m in models if (m.upscaler is not None) == upscales), models[0])
        if name not in self.models:
            hint = did_you_mean(name, self.models)
            raise RequestError(404, "no_such_model", f"Unknown model. {hint}".strip())
        return self.models[name]

    def find_generator(self, name: str | None) -> ServedModel:
        """Return the model of a name, which generates images; None stands for the first such.

        Raises:
            RequestError: There is no such model, or it upscales images.
        """
        model = self.find_model(name)
        if model.upscaler is None:
            return model
        message = f"model: {model.name} upscales images, and generates none; use POST /v1/upscale."
        raise RequestError(422, "model_upscales", message)

    def find_upscaler(self, name: str | None) -> tuple[ServedModel, UpscalerTraits]:
        """Return the model of a name, which upscales images; None stands for the first such.

        Raises:
            RequestError: There is no such model, or it generates images.
        """
        model = self.find_model(name, upscales=True)
        if model.upscaler is not None:
            return model, model.upscaler
        message = f"model: {model.name} generates images, and upscales none; use POST /v1/images."
        raise RequestError(422, "model_generates", message)

    def create_job(
        self, query: SamplingRequest, *, class_: str | int | None, count: int
    ) -> GenerationJob:
        """Turn a request into a job.

        Raises:
            RequestError: The request refers to something unknown, or exceeds a limit.
        """
        model = self.find_generator(query.model)
        label = find_label(class_, model.classes)
        settings = self.resolve_sampling(query, model)
        max_count = self.limits.max_images(math.prod(model.shape))
        if count > max_count:
            message = f"count: at most {max_count} in one request."
            raise RequestError(422, "too_many_images", message)
        seed, own_noise = choose_seed(query), query.noise == "own"
        plan = model.plan_samples(settings, label=label, seed=seed, own_noise=own_noise)
        return GenerationJob(
            model,
            plan,
            model.sampling_metadata(settings, plan),
            count,
            deadline=time.monotonic() + self.limits.request_seconds,
        )

    def resolve_sampling(self, query: SamplerRequest, model: ServedModel) -> SamplingSettings:
        """Return the sampling settings of a request.

        Raises:
            RequestError: They are invalid, or exceed a limit.
        """
        try:
            return self._resolve_sampling(query, model)
        except UsageError as error:
            message = f"{error.problem}. {error.hint}"
            raise RequestError(422, "no_tuned_table", message) from error

    def _resolve_sampling(self, query: SamplerRequest, model: ServedModel) -> SamplingSettings:
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


def choose_seed(query: SamplerRequest) -> int:
    """Return the seed of a request, or a random one."""
    return secrets.randbelow(RANDOM_SEEDS) if query.seed is None else query.seed


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


def find_optional_label(class_: str | int | None, classes: tuple[str, ...]) -> int:
    """Return the label of a class; without one, the label that means "no label".

    Raises:
        RequestError: There is no such class.
    """
    return len(classes) if class_ is None else find_label(class_, classes)


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
    limit, upscaler = max_steps(model, limits), model.upscaler
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
        limits=describe_limits(model, limits) | {"steps": limit},
        precision=model.precision,
        exact=model.is_invariant,
        guide_with=model.guide_with,
        takes_guidance=not model.no_guidance,
        upscales=None if upscaler is None else upscaler.factor,
        needs_class=bool(model.classes) and (upscaler is None or upscaler.needs_class),
    )


def describe_limits(model: ServedModel, limits: Limits) -> dict[str, float]:
    """Return the limits on requests to a model."""
    shared = {
        "seconds": limits.request_seconds,
        "max_batch": limits.max_batch,
        "queue": limits.max_queue,
    }
    if model.upscaler is None:
        count = limits.max_images(math.prod(model.shape))
        return {"count": count, "body": limits.max_body, **shared}
    return {
        "count": 1,
        "body": limits.max_upload,
        "pixels": limits.max_upscaled_pixels(model.shape),
        "noise_level": model.upscaler.highest_noise,
        **shared,
    }


def list_orders(defaults: SamplingSettings) -> dict[str, list[float]]:
    """Return lowest, highest and default order of each sampler that has several."""
    usual = {name: row.options["order"] for name, row in SAMPLERS.items() if "order" in row.ranges}
    own = defaults.sampler_options.get("order")
    if own is not None:
        usual[defaults.sampler] = own
    return {name: [*SAMPLERS[name].ranges["order"], order] for name, order in usual.items()}
