"""Settings: the tables of a profile, each field with its type, range and one sentence.

Tables are strict and frozen: an unknown key or a wrong type is an error, and an accepted profile
never changes. The sentences appear in the reference (README) and in the JSON schema (editors).
The settings of the model are in `model_settings`.
"""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from iddm_cli.profiles.choices import (
    GRIDS,
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    TIME_DISTRIBUTIONS,
    GridName,
    KernelsName,
    PredictionName,
    SamplerName,
    ScheduleName,
    TimeDistributionName,
    describe_usual_steps,
    list_choices,
)
from iddm_cli.profiles.evaluation_metrics import BestMetricName
from iddm_cli.records.weights_names import WeightsName

# Every number has an upper bound, so that a typo cannot overflow anything.
LARGEST_SIDE = 8192
ChannelCount = Annotated[int, Field(ge=1, le=16)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
WholeSide = Annotated[int, Field(ge=1, le=10**6)]
StepCount = Annotated[int, Field(ge=1, le=10**9)]
StepCountOrZero = Annotated[int, Field(ge=0, le=10**9)]
ImageCount = Annotated[int, Field(ge=1, le=2**20)]
DeviceCount = Annotated[int, Field(ge=1, le=4096)]
DeviceIndex = Annotated[int, Field(ge=0, lt=4096)]
DeviceIndices = Annotated[list[DeviceIndex], Field(min_length=1, max_length=64)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
NoiseShift = Annotated[float, Field(gt=0, le=100)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2)]
LossWeightName = Literal["uniform", "min_snr", "p2"]
LossName = Literal["mse", "huber"]
TimesName = Literal["stratified", "uniform"]
OptimizerName = Literal["adamw", "adam", "muon"]
LrScheduleName = Literal["constant", "linear", "cosine", "warmup_cosine"]
LrExtensionName = Literal["auto", "keep", "rewarm", "stretch"]
LrPhaseName = Literal["keep", "rewarm", "decay"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
AspectName = Literal["crop", "pad", "squash"]
BackgroundName = Literal["white", "black", "grey"]
CacheName = Literal["auto", "device", "memory", "disk", "off"]
ShardingName = Literal["none", "fsdp"]
RecomputeName = Literal["none", "blocks"]
CompileName = Literal["auto", "none", "blocks"]
Tf32Name = Literal["none", "convolutions", "all"]


DURATION = r"^(\d{1,6}[dhms]){1,4}$"
"""Pattern of a duration in days, hours, minutes and seconds, such as 1d12h."""


class Settings(BaseModel):
    """Base of every table: strict types, no unknown keys, immutable."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _to_sides(size: int | list[int]) -> tuple[int, int]:
    """Return height and width of a size: one number, or both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class DataSettings(Settings):
    """The training images, and how each is decoded, resized and augmented."""

    path: str = Field(default="demo", min_length=1, max_length=4096)
    """A folder, an archive, tar shards, Parquet, a built-in dataset (cifar10, ...), or demo."""

    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] = 32
    """Size of training and generated images in pixels: one number, or [height, width]."""

    crop: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    """Trains on random crops of this size, of images that keep theirs; null: on whole images."""

    crop_scale: float = Field(default=1.0, ge=0.01, le=1)
    """Factor that images shrink by before they are cropped; 1 keeps every pixel."""

    crop_position: bool = False
    """Whether the network reads where in its image each crop lies: for objects, not textures."""

    whole_size: Annotated[list[WholeSide], Field(min_length=2, max_length=2)] | None = None
    """With crop_position: [height, width] of the images that crops lie in; a run records them."""

    encoder: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """An autoencoder run, whose latents of the images are trained on; null: pixels are."""

    latents: Annotated[list[ChannelCount], Field(min_length=2, max_length=2)] | None = None
    """With data.encoder: channels of a latent, and pixels along its sides; a run records them."""

    channels: Literal["auto"] | ChannelCount = "auto"
    """1 for greyscale, 3 for RGB, up to 16 bands; auto: 1 if every image is grey, or all bands."""

    value_range: Literal["auto"] | Annotated[list[float], Field(min_length=2, max_length=2)] = (
        "auto"
    )
    """Values that become black and white, [low, high]; auto: 0 to 255, or found in deep images."""

    conditional: bool | Literal["auto"] = "auto"
    """Whether the model is class-conditional; auto makes it so if the dataset has classes."""

    layout: Literal["auto", "folders"] = "auto"
    """auto recognises splits, masks and outer folders; folders takes each folder as a class."""

    label_column: str = Field(default="label", min_length=1, max_length=1000)
    """Column with the class name in a table such as metadata.csv, or key of a JSON file."""

    label_pattern: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """Regular expression whose first group, found in each file name, is the class."""

    archive_encoding: str = Field(default="auto", min_length=1, max_length=100)
    """Encoding of names in an archive that are not marked as UTF-8; auto detects it."""

    held_out: float = Field(default=0.05, ge=0, le=0.5)
    """Share of images kept out of training to measure quality; 0: none, not even a val folder."""

    balance: float = Field(default=0.0, ge=0, le=1)
    """How often rare classes are trained on: 0 by their size, 1 as often as others, 0.5 between."""

    aspect: AspectName = "crop"
    """How images of another aspect ratio fit: crop the centre, pad, or squash."""

    background: BackgroundName = "white"
    """Background colour for transparent pixels and padding."""

    horizontal_flip: bool = False
    """Whether to flip each training image horizontally with probability 0.5."""

    random_crop: float = Field(default=1.0, ge=0.5, le=1)
    """Minimum side of a random crop as a fraction of the image; 1 disables cropping."""

    rotation: float = Field(default=0.0, ge=0, le=180)
    """Maximum random rotation in degrees (both directions); corners are filled by reflection."""

    augment: Literal["auto", "off"] | Share = "off"
    """Probability of each non-leaky change, such as 0.12; auto: 0.12 for few images; off: none."""

    cache: CacheName = "auto"
    """Where decoded images are kept: device, memory or disk; off decodes them every epoch."""

    on_error: Literal["skip", "fail"] = "skip"
    """Whether to skip a file that cannot be decoded, with a warning, or to fail."""

    timeout: Seconds = 30.0
    """Maximum seconds to decode one file; a slower file counts as unreadable."""

    workers: int = Field(default=0, ge=0, le=1024)
    """Number of worker processes that decode images; 0 uses one per CPU core."""

    @model_validator(mode="before")
    @classmethod
    def _size_crops(cls, values: Any) -> Any:
        """Let crops decide the size trained at, where nothing else does."""
        if isinstance(values, dict) and values.get("crop") is not None:
            return {"image_size": values["crop"], **values}
        return values

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return _to_sides(self.image_size)

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """Height and width of the crops that are trained on; None: whole images are."""
        return None if self.crop is None else _to_sides(self.crop)

    @property
    def diffused_size(self) -> tuple[int, int]:
        """Height and width of what the network computes: pixels, or positions of latents."""
        factor = 1 if self.latents is None else self.latents[1]
        return self.size[0] // factor, self.size[1] // factor

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width stored for each image, so that the smallest crop still has `size`."""
        height, width = self.size
        return math.ceil(height / self.random_crop), math.ceil(width / self.random_crop)


class DiffusionSettings(Settings):
    """The noise schedule and what the network predicts."""

    timesteps: int = Field(default=1000, ge=2, le=100_000)
    """Number of timesteps in the noise schedule (T)."""

    schedule: ScheduleName = Field(
        default="linear", description=f"Noise schedule: {list_choices(SCHEDULES)}."
    )

    noise_shift: Literal["auto"] | NoiseShift = 1.0
    """Factor on the noise of every time; auto: the side of larger images divided by 32."""

    zero_terminal_snr: bool = False
    """Whether the schedule ends in pure noise, so that no brightness leaks (Lin et al. 2024)."""

    prediction: PredictionName = Field(
        default="epsilon", description=f"Prediction target: {list_choices(PREDICTIONS)}."
    )

    loss_weight: LossWeightName = "uniform"
    """Loss weighting over time; min_snr (Hang et al. 2023) or p2 (Choi et al. 2022)."""

    loss: LossName = "mse"
    """Loss of an error: its square, or pseudo-Huber, where large errors count less."""

    times: TimesName = "stratified"
    """How times are sampled: one per equal interval of the batch, or independently."""

    time_distribution: TimeDistributionName = Field(
        default="uniform",
        description=f"Which times are trained how often: {list_choices(TIME_DISTRIBUTIONS)}.",
    )

    time_mean: Annotated[float, Field(ge=-20, le=20)] | None = None
    """Mean of the logit, or log noise level; null: 0 for logit-normal, -1.2 for log-normal."""

    time_deviation: Annotated[float, Field(gt=0, le=20)] | None = None
    """Standard deviation of the same; null: 1 for logit-normal, 1.2 for log-normal."""


class ResolvedDiffusionSettings(DiffusionSettings):
    """Diffusion settings whose noise suits the size of images."""

    noise_shift: NoiseShift = 1.0
    """Factor on the noise of every time."""


class TrainingSettings(Settings):
    """How long and how the network is trained."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Random seed of initial weights, data order, augmentation and noise."""

    epochs: StepCount | None = 300
    """Number of passes over the dataset; null if steps is given."""

    steps: StepCount | None = None
    """Number of optimizer updates, instead of epochs."""

    batch_size: ImageCount = 64
    """Images per optimizer update, over all devices."""

    micro_batch: ImageCount | Literal["auto"] | None = None
    """Images per forward pass, to save memory; null: the whole batch; auto: as many as fit."""

    recompute: RecomputeName = "none"
    """blocks computes activations again in the backward pass: less memory, about a third slower."""

    optimizer: OptimizerName = "adamw"
    """Optimizer; muon (Jordan et al. 2024) updates hidden weights, and adamw the rest."""

    lr: float = Field(default=3e-4, gt=0, le=1000)
    """Peak learning rate."""

    muon_lr: float = Field(default=0.02, gt=0, le=1000)
    """Peak learning rate of muon's hidden weights; it decays as lr does."""

    lr_schedule: LrScheduleName = "cosine"
    """Learning-rate schedule after warmup: constant, or linear or cosine decay to lr_final."""

    lr_final: float = Field(default=0.0, ge=0, le=1)
    """Final learning rate of linear and cosine decay, as a fraction of lr."""

    warmup_steps: StepCountOrZero = 0
    """Steps of linear warmup from 0; with warmup_cosine, 0 means a twentieth of the run."""

    lr_extension: LrExtensionName = "auto"
    """Learning rate after a run's planned end: keep it low, rewarm to lr, or stretch the decay."""

    extensions: list[Annotated[list[StepCount | LrPhaseName], Field(max_length=2)]] = []
    """Where extensions begin, as [step, keep, rewarm or decay]; written by iddm resume."""

    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    """Adam's decay rates of the first and second moment."""

    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Weight decay: decoupled for adamw, an L2 penalty for adam."""

    gradient_clip: float = Field(default=1.0, ge=0, le=10**9)
    """Maximum gradient norm; 0 disables clipping."""

    noise_candidates: int = Field(default=1, ge=1, le=64)
    """Noises sampled for each image, of which the nearest is trained on (immiscible diffusion)."""

    lora_rank: int = Field(default=0, ge=0, le=1024)
    """Rank of adapters that are trained instead of all weights, with transfer.source; 0: none."""

    label_drop: float = Field(default=0.1, ge=0, le=1)
    """Probability of dropping the class label of an image; classifier-free guidance needs it."""

    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    """Decay of the EMA weights, warmed up so that short runs average their last tenth."""

    average_snapshots: int = Field(default=2, ge=0, le=64)
    """Snapshots of the EMA kept for each doubling of their age, for iddm average; 0 keeps none."""

    log_every: StepCount = 10
    """Steps between lines of metrics.jsonl."""

    checkpoint_every: StepCount = 1000
    """Steps between checkpoints; the last step always saves one."""

    checkpoint_from: StepCountOrZero = 0
    """First step that may save a checkpoint."""

    keep: int = Field(default=3, ge=2, le=10**9)
    """Number of latest checkpoints to keep; at least 2, as one may be incomplete."""

    keep_every: StepCountOrZero = 0
    """Keep the checkpoints at multiples of this step for good; 0 keeps none."""

    keep_best: BestMetricName | None = None
    """Also save and keep the checkpoint that is best by this metric; null disables it."""

    stop_when: Literal["held_out_worse"] | None = None
    """held_out_worse ends the run when the held-out loss stops improving; null never does."""

    max_skipped: StepCount = 20
    """Maximum consecutive non-finite updates to skip, before one rollback with a reduced lr."""

    sample_every: StepCountOrZero = 1000
    """Steps between sample grids; 0 generates only the last one."""

    sample_count: int = Field(default=8, ge=0, le=64)
    """Images per class in a sample grid; 0 disables sample grids."""

    @property
    def best_metric(self) -> BestMetricName | None:
        """The metric whose best checkpoint is kept; None: none is."""
        stops = self.stop_when == "held_out_worse"
        return self.keep_best or ("held_out_loss" if stops else None)


class SamplingSettings(Settings):
    """How images are generated from a trained network."""

    sampler: SamplerName = Field(default="ddim", description=f"Sampler: {list_choices(SAMPLERS)}.")

    steps: StepCount | None = Field(
        default=None, description=f"Number of network calls; null: {describe_usual_steps()}."
    )

    grid: GridName = Field(
        default="trailing", description=f"Time grid of the steps: {list_choices(GRIDS)}."
    )

    guidance: float = Field(default=3.0, ge=0, le=1000)
    """Guidance scale, classifier-free or by a weaker model; 1 disables guidance."""

    guidance_interval: Interval = [0.0, 1.0]
    """Noise levels with guidance, [low, high], from 0 (clean) to 1 (noise); others cost half."""

    guidance_rescale: Share = 0.0
    """How far the contrast of guided estimates is set back to that without guidance; 1: fully."""

    order: Annotated[int, Field(ge=1, le=4)] | None = None
    """Order of ipndm (1 to 4) or unipc (2 or 3); null: 4 for ipndm, 2 for unipc."""

    eta: float = Field(default=0.0, ge=0, le=1)
    """Noise scale of ddim; 0 is deterministic, 1 equals ddpm."""

    clip: bool = True
    """Whether to clip each estimate of the clean image to the pixel range."""

    threshold: Share = 0.0
    """Dynamic thresholding instead of clip, at this share of values such as 0.995; 0 disables."""

    weights: WeightsName = "average"
    """Weights to sample from: the EMA (average), raw ones, or what iddm average made of the EMA."""

    batch_size: ImageCount = 64
    """Images generated at once; does not change the images."""

    window_overlap: float = Field(default=0.5, ge=0, le=0.9)
    """Share of the side that windows of an image larger than a crop have in common, at least."""

    precision: PrecisionName = "auto"
    """Precision of the network; auto uses bf16 where that is fast and changes images little."""

    @property
    def sampler_options(self) -> dict[str, float]:
        """The settings that the sampler takes and others do not, with its own defaults."""
        defaults = SAMPLERS[self.sampler].options
        given = {key: getattr(self, key) for key in defaults}
        return {key: defaults[key] if value is None else value for key, value in given.items()}

    def to_metadata(self) -> dict[str, Any]:
        """Return the fields of `image_files.SamplingMetadata` that these settings decide."""
        return {
            "weights": self.weights,
            "sampler": self.sampler,
            "time_grid": self.grid,
            "order": self.sampler_options.get("order"),
            "eta": self.eta,
            "guidance": self.guidance,
            "guidance_interval": self.guidance_interval,
            "guidance_rescale": self.guidance_rescale,
            "threshold": self.threshold,
        }


class RuntimeSettings(Settings):
    """Which devices compute, and how."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$")] = "auto"
    """Device: auto, cpu, cuda, cuda:N or mps; auto prefers GPUs."""

    devices: DeviceCount | DeviceIndices | Literal["auto"] = "auto"
    """Number of devices to train on, or GPU indices such as [0, 2]; auto uses all GPUs."""

    sharding: ShardingName = "none"
    """fsdp shards weights, EMA and optimizer, for networks too large for one device."""

    timeout: Seconds = 600.0
    """Seconds that processes wait for each other before training fails."""

    max_time: Annotated[str, Field(pattern=DURATION)] | None = None
    """Time after which training saves and stops, such as 8h, 90m or 1d12h; null has no limit."""

    precision: PrecisionName = "auto"
    """Precision of the network during training; auto uses bf16 if the device supports it well."""

    kernels: KernelsName | Literal["auto"] = "auto"
    """How the network computes, equal up to rounding; auto measures which is fastest on a CPU."""
    tf32: Tf32Name = "all"
    """Which fp32 products on an NVIDIA GPU are rounded to TF32: none, convolutions or all."""

    compile: CompileName = "auto"
    """blocks compiles the network's blocks for training; auto does so for long runs on a GPU."""

    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads for computing; 0 uses all allowed cores. Other counts change rounding."""

    @property
    def max_seconds(self) -> float | None:
        """Maximum training time in seconds, or None for no limit."""
        units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
        parts = re.findall(r"(\d+)([dhms])", self.max_time or "")
        return sum(int(count) * units[unit] for count, unit in parts) if parts else None
