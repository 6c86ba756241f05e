"""Schemas: what requests may say, each field with its range, and what they are answered.

Strict: an unknown field, a wrong type or a number out of range is refused before anything is
done. No field carries a path, an address or a file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iddm_cli.profiles.choices import SamplerName

FORMATS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
"""Formats by the names that requests use, and as files are called."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Steps = Annotated[int, Field(ge=1, le=1_000_000)]
Guidance = Annotated[float, Field(ge=0, le=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[int, Field(ge=0, lt=2**31)]


class Schema(BaseModel):
    """Base of all of them."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class SamplingRequest(Schema):
    """How pictures are drawn; what is left out is as the run's profile says."""

    model: Name | None = None
    """Which model; left out: the first."""

    seed: Seed | None = None
    """Decides the noise; left out: any, and the answer says which."""

    sampler: SamplerName | None = None
    """Solver."""

    steps: Steps | None = None
    """Solver steps."""

    guidance: Guidance | None = None
    """How hard the class is followed; 1 is plain."""


class ImageRequest(SamplingRequest):
    """A request for pictures of one class."""

    class_: Name | Label | None = Field(default=None, alias="class")
    """Name or index of the class; left out where the model knows none."""

    count: Count = 1
    """How many: those of index 0 to count - 1."""

    format: Literal["png", "jpeg", "webp"] = "png"
    """File format; png and webp are lossless."""

    response: Literal["base64", "zip", "stream"] = "base64"
    """One JSON document, one zip file, or events as the pictures clear up."""


class GenerationRequest(SamplingRequest):
    """A request as clients of OpenAI's images API send it; the prompt is the name of a class."""

    prompt: Annotated[str, Field(max_length=200)]
    """Name or index of the class; of no account where the model knows none."""

    n: Count | None = None
    """How many."""

    size: Annotated[str, Field(max_length=20)] | None = None
    """auto, or the model's own size, as WIDTHxHEIGHT."""

    response_format: Literal["b64_json"] | None = None
    """Pictures come inside the answer."""

    output_format: Literal["png", "jpeg", "webp"] | None = None
    """File format."""

    user: Annotated[str, Field(max_length=200)] | None = None
    """Not looked at."""


class ImageItem(Schema):
    """One picture."""

    image: str
    """The file, base64."""

    class_: str = Field(alias="class")
    """Name of its class; empty without."""

    seed: int
    """Its seed."""

    index: int
    """Its index: (seed, index) is what makes it another picture than the others."""

    format: str
    """File format."""


class ImagesResponse(Schema):
    """The pictures of a request."""

    id: str
    """The job's id."""

    model: str
    """The model's name."""

    images: list[ImageItem]
    """The pictures, by index."""

    settings: dict[str, Any]
    """How they were made, as their files say it."""

    command: str
    """The command line that makes the same."""


class GenerationItem(Schema):
    """One picture, as clients of OpenAI's images API expect it."""

    b64_json: str
    """The file, base64."""

    revised_prompt: str
    """Name of its class."""


class GenerationsResponse(Schema):
    """The pictures of a request, as clients of OpenAI's images API expect it."""

    created: int
    """When, in seconds since 1970."""

    data: list[GenerationItem]
    """The pictures, by index."""

    seed: int
    """Their seed."""

    output_format: str
    """File format."""


class ModelInfo(Schema):
    """A model."""

    id: str
    """Its name."""

    object: Literal["model"] = "model"
    """What this is."""

    created: int = 0
    """Of no account; other clients expect it."""

    owned_by: str = "iddm"
    """Of no account; other clients expect it."""

    classes: list[str]
    """Names of its classes, by index; empty without."""

    image_size: list[int]
    """Height and width in pixels."""

    channels: int
    """1 is grey, 3 colour."""

    samplers: list[str]
    """Solvers."""

    defaults: dict[str, Any]
    """Sampler, steps and guidance where a request does not say, and usual steps of each sampler."""

    limits: dict[str, float]
    """What is refused beyond."""

    exact: bool
    """Whether a trial showed that no bit of a picture depends on what others ask."""


class ModelsResponse(Schema):
    """The models that are served."""

    object: Literal["list"] = "list"
    """What this is."""

    data: list[ModelInfo]
    """The models."""


class JobResponse(Schema):
    """How far a job is."""

    id: str
    """The job's id."""

    model: str
    """The model's name."""

    state: Literal["waiting", "running", "done", "cancelled", "late", "failed"]
    """Waiting, running, or how it ended; late: it took longer than any may."""

    place: int
    """Jobs that wait before it."""

    count: int
    """Pictures wanted."""

    pictures: int
    """Pictures finished."""

    step: int
    """Steps taken, of all its pictures together."""

    steps: int
    """Steps that there are to take."""


class ErrorDetail(Schema):
    """What is wrong."""

    code: str
    """In a word."""

    type: str
    """The same; other clients expect it."""

    message: str
    """In a sentence, with what to do."""


class ErrorResponse(Schema):
    """A request that was refused, or failed."""

    error: ErrorDetail
    """What is wrong."""
