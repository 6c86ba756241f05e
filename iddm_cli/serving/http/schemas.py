"""Schemas of requests and responses, with the range of every field.

Validation is strict: an unknown field, a wrong type or a number out of range is rejected before
anything is computed. No field carries a path, an address or a file.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from iddm_cli.profiles.choices import GridName, SamplerName

FILE_EXTENSIONS = {"png": "png", "jpeg": "jpg", "webp": "webp", "npy": "npy"}
"""File extensions by the format names that requests use."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Count = Annotated[int, Field(ge=1, le=10_000)]
StepCount = Annotated[int, Field(ge=1, le=1_000_000)]
GuidanceScale = Annotated[float, Field(ge=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
NoiseName = Literal["same", "own"]
Label = Annotated[int, Field(ge=0, lt=2**31)]
ImageFile = Annotated[str, Field(min_length=1, json_schema_extra={"contentEncoding": "base64"})]
FormatName = Literal["png", "jpeg", "webp", "npy"]


class Schema(BaseModel):
    """Base of all schemas: strict, immutable, without unknown fields."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class SamplerRequest(Schema):
    """How images are sampled; the run's profile supplies what is left out."""

    model: Name | None = None
    """Name of the model; defaults to the first that generates, or to the first that upscales."""

    seed: Seed | None = None
    """Random seed; the server chooses one if it is left out, and returns it."""

    sampler: SamplerName | None = None
    """Sampler."""

    steps: StepCount | None = None
    """Number of network calls."""

    time_grid: GridName | None = None
    """Time grid of the steps."""

    order: Annotated[int, Field(ge=1, le=4)] | None = None
    """Order of ipndm (1 to 4) or unipc (2 or 3)."""

    guidance: GuidanceScale | None = None
    """Guidance scale; 1 disables guidance."""

    guidance_interval: Interval | None = None
    """Noise levels with guidance, [low, high], from 0 (clean) to 1 (noise)."""

    guidance_rescale: Share | None = None
    """How far the contrast of guided estimates is set back to that without guidance; 1: fully."""

    threshold: Share | None = None
    """Dynamic thresholding at this share of the values, such as 0.995; 0 disables it."""


class SamplingRequest(SamplerRequest):
    """How images are sampled from noise."""

    noise: NoiseName = "same"
    """same: image i starts from the same noise in every class; own: each class has its own noise,
    as with `iddm generate`."""


class ImageRequest(SamplingRequest):
    """A request for images of one class."""

    class_: Name | Label | None = Field(default=None, alias="class")
    """Name or index of the class; leave it out for a model without classes."""

    count: Count = 1
    """Number of images; their indices are 0 to count - 1."""

    format: FormatName = "png"
    """File format; png and webp are lossless. npy holds values in the units of the training images,
    the others 8 bits, of up to three bands."""

    response: Literal["base64", "zip", "stream"] = "base64"
    """One JSON document, one zip file, or a stream of events with previews."""


class UpscaleRequest(SamplerRequest):
    """A request to upscale an image."""

    image: ImageFile
    """The smaller image: a PNG, JPEG, WebP or TIFF file, in base64."""

    class_: Name | Label | None = Field(default=None, alias="class")
    """Name or index of the class; leave it out for a model without classes, or if it is unknown."""

    noise_level: Share = 0.0
    """Level of the noise that the image gets first; more corrects more of what is wrong in it."""

    format: FormatName = "png"
    """File format, as of a generated image."""

    response: Literal["base64", "stream"] = "base64"
    """One JSON document, or a stream of events with previews."""


class GenerationRequest(SamplingRequest):
    """A request in the form of OpenAI's images API; the prompt is the name of a class."""

    prompt: Annotated[str, Field(max_length=200)]
    """Name or index of the class; ignored by a model without classes."""

    n: Count | None = None
    """Number of images; defaults to 1."""

    size: Annotated[str, Field(max_length=20)] | None = None
    """auto, or the model's own size as WIDTHxHEIGHT."""

    response_format: Literal["b64_json"] | None = None
    """Images are returned inside the JSON document."""

    output_format: Literal["png", "jpeg", "webp"] | None = None
    """File format; defaults to png."""

    user: Annotated[str, Field(max_length=200)] | None = None
    """Ignored."""


class ImageItem(Schema):
    """One image."""

    image: str
    """The file, in base64."""

    class_: str = Field(alias="class")
    """Name of its class; empty for a model without classes."""

    seed: int
    """Random seed; seed and index together determine the noise, with `noise` own also the class."""

    index: int
    """Index of the image within the request."""

    format: str
    """File format."""


class ImagesResponse(Schema):
    """The images of a request."""

    id: str
    """The job's id."""

    model: str
    """Name of the model."""

    images: list[ImageItem]
    """The images, by index."""

    settings: dict[str, Any]
    """The sampling settings, as written into the files."""

    command: str
    """The command line that generates or upscales the same images."""


class GenerationItem(Schema):
    """One image, in the form of OpenAI's images API."""

    b64_json: str
    """The file, in base64."""

    revised_prompt: str
    """Name of its class."""


class GenerationsResponse(Schema):
    """The images of a request, in the form of OpenAI's images API."""

    created: int
    """Time of the response, in seconds since 1970."""

    data: list[GenerationItem]
    """The images, by index."""

    seed: int
    """Random seed."""

    output_format: str
    """File format."""


class ModelInfo(Schema):
    """A served model."""

    id: str
    """Name of the model."""

    object: Literal["model"] = "model"
    """Kind of this object."""

    created: int = 0
    """Always 0; OpenAI's clients expect the field."""

    owned_by: str = "iddm"
    """Always iddm; OpenAI's clients expect the field."""

    classes: list[str]
    """Class names by index; empty for a model without classes."""

    image_size: list[int]
    """Height and width in pixels; of a model that upscales, those of its training images."""

    upscales: int | None = None
    """How many times larger it makes images; null for a model that generates them."""

    needs_class: bool = True
    """Whether a request must name a class."""

    channels: int
    """1 for grey images, 3 for colour, or the number of bands."""

    values: dict[str, Any]
    """Type and range of the values of the training images: dtype, low, high, alpha."""

    samplers: list[str]
    """Available samplers."""

    time_grids: list[str]
    """Available time grids."""

    defaults: dict[str, Any]
    """Default sampler, steps, guidance and so on, and each sampler's default number of steps."""

    precision: str
    """Precision of the network: fp32, bf16 or fp16; it applies to all requests."""

    guide_with: str = ""
    """The weaker model that guides, RUN@STEP; empty where guidance is classifier-free."""

    takes_guidance: bool = True
    """Whether requests may set a guidance scale; a distilled run has one inside."""

    limits: dict[str, float]
    """Limits on requests; of a model that upscales, also the highest `noise_level`, and the number
    of `pixels` of an upscaled image."""

    exact: bool
    """Whether a trial showed that other requests never change a bit of an image."""


class ModelsResponse(Schema):
    """The served models."""

    object: Literal["list"] = "list"
    """Kind of this object."""

    data: list[ModelInfo]
    """The models."""


class JobResponse(Schema):
    """Progress of a job."""

    id: str
    """The job's id."""

    model: str
    """Name of the model."""

    state: Literal["waiting", "running", "done", "cancelled", "late", "failed"]
    """State of the job; late: it exceeded the time limit."""

    place: int
    """Number of jobs waiting ahead of it."""

    count: int
    """Images requested."""

    pictures: int
    """Images finished."""

    step: int
    """Solver steps taken, summed over all images."""

    steps: int
    """Solver steps in total, summed over all images."""


class ErrorDetail(Schema):
    """What went wrong."""

    code: str
    """A short identifier."""

    type: str
    """The same as code; OpenAI's clients expect the field."""

    message: str
    """A sentence that says what is wrong or what to do."""


class ErrorResponse(Schema):
    """The response to a request that was rejected, or failed."""

    error: ErrorDetail
    """What went wrong."""
