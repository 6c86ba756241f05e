"""Settings: the tables of a profile, each field with its type, range and one sentence.

Strict and frozen: an unknown key or a wrong type is an error, and a profile that was accepted
stays as it is. The sentences are the profile reference (README) and the JSON schema (editors).
"""

import math
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from iddm_cli.profiles.choices import (
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    PredictionName,
    SamplerName,
    ScheduleName,
    describe_usual_steps,
    list_choices,
)

# Every number has an upper bound, so that a slip of the keyboard overflows nothing.
LARGEST_SIDE = 8192
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
Steps = Annotated[int, Field(ge=1, le=10**9)]
StepsOrNone = Annotated[int, Field(ge=0, le=10**9)]
Pictures = Annotated[int, Field(ge=1, le=2**20)]
Devices = Annotated[int, Field(ge=1, le=4096)]
Numbers = Annotated[list[Annotated[int, Field(ge=0, lt=4096)]], Field(min_length=1, max_length=64)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
LossWeightName = Literal["uniform", "min_snr"]
TimesName = Literal["stratified", "uniform"]
OptimizerName = Literal["adamw", "adam"]
LrScheduleName = Literal["constant", "linear", "cosine", "warmup_cosine"]
WeightsName = Literal["average", "raw"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
AspectName = Literal["crop", "pad", "squash"]
BackgroundName = Literal["white", "black", "grey"]
CacheName = Literal["auto", "device", "memory", "disk", "off"]
ShardingName = Literal["none", "fsdp"]


DURATION = r"^(\d{1,6}[dhms]){1,4}$"
"""Days, hours, minutes and seconds, as in 1d12h."""


class Settings(BaseModel):
    """Base of every table: strict types, no unknown keys, no changes afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class DataSettings(Settings):
    """Which pictures are learnt from, and how each becomes an array of one size."""

    path: str = Field(default="demo", min_length=1, max_length=4096)
    """A folder, a zip or tar, a built-in set (cifar10, mnist, fashion-mnist, ...), or demo."""

    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] = 32
    """Size trained and drawn at, in pixels: one number, or [height, width]."""

    channels: Literal["auto", 1, 3] = "auto"
    """1 for grey, 3 for colour; auto: 1 where every picture is grey, however it is stored."""

    conditional: bool | Literal["auto"] = "auto"
    """Whether class names are learnt; auto: if the dataset has classes."""

    label_column: str = Field(default="label", min_length=1, max_length=1000)
    """Column with the class, where the folder has a metadata.csv or metadata.jsonl."""

    aspect: AspectName = "crop"
    """What happens where a picture's shape differs: crop the middle, pad, or squash."""

    background: BackgroundName = "white"
    """What stands behind transparent pixels and padding."""

    horizontal_flip: bool = False
    """Whether pictures are mirrored left to right, each with a chance of one half."""

    random_crop: float = Field(default=1.0, ge=0.5, le=1)
    """Least share of a picture's side that a random crop shows; 1 always shows all of it."""

    rotation: float = Field(default=0.0, ge=0, le=180)
    """Largest random turn in degrees, either way; what turns into view mirrors the picture."""

    cache: CacheName = "auto"
    """Where decoded pictures wait: on the device, in memory, on disk, or off: decoded anew."""

    on_error: Literal["skip", "fail"] = "skip"
    """Whether a file that cannot be decoded is left out (and told), or ends the run."""

    timeout: Seconds = 30.0
    """Seconds that decoding one file may take; a file that takes longer counts as unreadable."""

    workers: int = Field(default=0, ge=0, le=1024)
    """Processes that decode pictures; 0: one for each processor core."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        if isinstance(self.image_size, int):
            return self.image_size, self.image_size
        return self.image_size[0], self.image_size[1]

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width kept of each picture: enough for the smallest crop to fill the size."""
        height, width = self.size
        return math.ceil(height / self.random_crop), math.ceil(width / self.random_crop)


class DiffusionSettings(Settings):
    """The noising process and what the network predicts."""

    timesteps: int = Field(default=1000, ge=2, le=100_000)
    """Entries of the noise schedule (T)."""

    schedule: ScheduleName = Field(
        default="linear", description=f"Noise schedule: {list_choices(SCHEDULES)}."
    )

    prediction: PredictionName = Field(
        default="epsilon", description=f"What the network predicts: {list_choices(PREDICTIONS)}."
    )

    loss_weight: LossWeightName = "uniform"
    """Weight of each time in the loss; min_snr (Hang et al. 2023) converges faster on many sets."""

    times: TimesName = "stratified"
    """How a batch's times are drawn: one from each of batch-size equal strata, or all freely."""


class TrainingSettings(Settings):
    """How long and how the network learns."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides initial weights, order, noise and all else that is random."""

    epochs: Steps | None = 300
    """Passes over the dataset; null where steps is given."""

    steps: Steps | None = None
    """Updates of the weights; takes the place of epochs."""

    batch_size: Pictures = 64
    """Pictures in one update, over all devices."""

    micro_batch: Pictures | Literal["auto"] | None = None
    """Pictures computed at once; fewer than there are save memory; auto: as many as fit."""

    optimizer: OptimizerName = "adamw"
    """Optimizer."""

    lr: float = Field(default=3e-4, gt=0, le=1000)
    """Peak learning rate."""

    lr_schedule: LrScheduleName = "cosine"
    """How lr goes on after warming up: constant, down a line, or down a cosine to lr_final."""

    lr_final: float = Field(default=0.0, ge=0, le=1)
    """Where linear and cosine end, as a share of lr."""

    warmup_steps: StepsOrNone = 0
    """Steps over which lr rises from 0; warmup_cosine takes a twentieth of the run where 0."""

    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    """Decay of the optimizer's running means."""

    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    """Decoupled weight decay for adamw, L2 penalty for adam."""

    gradient_clip: float = Field(default=1.0, ge=0, le=10**9)
    """Largest norm of the gradient; 0 turns clipping off."""

    label_drop: float = Field(default=0.1, ge=0, le=1)
    """Share of pictures learnt without their class, each drawn by itself; guidance needs some."""

    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    """Decay of the averaged weights; warmed up, so a short run is averaged over its last tenth."""

    log_every: Steps = 10
    """Steps between lines of metrics.jsonl."""

    checkpoint_every: Steps = 1000
    """Steps between checkpoints; the last step always has one."""

    checkpoint_from: StepsOrNone = 0
    """No checkpoint before this step."""

    keep: int = Field(default=3, ge=2, le=10**9)
    """Newest checkpoints kept; at least 2, since one may be in the middle of being saved."""

    keep_every: StepsOrNone = 0
    """Checkpoints at multiples of so many steps are kept for good; 0: none are."""

    keep_best: Literal["loss"] | None = None
    """Keeps the best checkpoint too: by the mean loss since the one before it; null: does not."""

    max_skipped: Steps = 20
    """Updates in a row that may be skipped as not finite; then back, once, to learn more slowly."""

    sample_every: StepsOrNone = 1000
    """Steps between sample grids; 0 draws none but the last."""

    sample_count: int = Field(default=8, ge=0, le=64)
    """Pictures of each class in a sample grid; 0 draws no grids at all."""


class SamplingSettings(Settings):
    """How pictures are drawn from a trained network."""

    sampler: SamplerName = Field(default="ddim", description=f"Sampler: {list_choices(SAMPLERS)}.")

    steps: Steps | None = Field(
        default=None, description=f"Solver steps; null: {describe_usual_steps()}."
    )

    guidance: float = Field(default=3.0, ge=0, le=1000)
    """Classifier-free guidance weight; 1 is none, larger follows the class harder."""

    eta: float = Field(default=0.0, ge=0, le=1)
    """Noise that ddim adds back at each step; 0 is deterministic, 1 is ddpm."""

    clip: bool = True
    """Whether each estimate of the clean image is held inside the pixel range."""

    weights: WeightsName = "average"
    """The averaged weights, or those the optimizer left."""

    batch_size: Pictures = 64
    """Pictures drawn at once; changes no picture."""


class RuntimeSettings(Settings):
    """Where and how it computes."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$")] = "auto"
    """auto, cpu, cuda, cuda:N or mps; auto takes GPUs where there are any."""

    devices: Devices | Numbers | Literal["auto"] = "auto"
    """How many devices train together, or which GPUs, as [0, 2]; auto: all GPUs there are."""

    sharding: ShardingName = "none"
    """fsdp divides weights and averages among the devices, for networks that do not fit one."""

    timeout: Seconds = 600.0
    """Seconds that one process may keep the others waiting before all give up."""

    max_time: Annotated[str, Field(pattern=DURATION)] | None = None
    """Time after which training saves and stops by itself: 8h, 90m, 1d12h; null: it does not."""

    precision: PrecisionName = "auto"
    """Arithmetic of the network in training; auto: bf16 where the device is fast at it."""

    threads: int = Field(default=0, ge=0, le=1024)
    """Processor threads for computing; 0: one for each core. Another number changes last bits."""

    @property
    def seconds(self) -> float | None:
        """The longest time that training may take, or None."""
        units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
        parts = re.findall(r"(\d+)([dhms])", self.max_time or "")
        return sum(int(count) * units[unit] for count, unit in parts) if parts else None
