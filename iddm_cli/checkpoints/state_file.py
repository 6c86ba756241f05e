"""The content of state.json of a checkpoint, in tables whose types are checked."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1


class StrictTable(BaseModel):
    """Base of the tables of state.json: strict types, finite numbers."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(StrictTable):
    """The size and digest of a file."""

    bytes: int = Field(ge=0, lt=2**63)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def record_file(content: bytes) -> FileRecord:
    """Return the record of a file with this content."""
    return FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class CheckpointFiles(StrictTable):
    """The files of a checkpoint."""

    model: FileRecord = Field(alias="model.safetensors")
    average: FileRecord = Field(alias="average.safetensors")
    optimizer: FileRecord = Field(alias="optimizer.safetensors")
    # Only where an autoencoder is trained against one.
    discriminator: FileRecord | None = Field(default=None, alias="discriminator.safetensors")


class ScalerState(StrictTable):
    """The state of the gradient scaler."""

    scale: float = Field(gt=0)
    growth_factor: float = Field(gt=1)
    backoff_factor: float = Field(gt=0, lt=1)
    growth_interval: int = Field(ge=1)
    growth_tracker: int = Field(ge=0, alias="_growth_tracker")


class EvaluationRecord(StrictTable):
    """What the evaluations so far amount to; see EvaluationHistory."""

    best: dict[str, Annotated[list[int | float], Field(min_length=2, max_length=2)]] = {}
    not_improved: int = Field(default=0, ge=0, lt=2**63)
    training_at_best: float = 0.0
    has_warned: bool = False
    images: int = Field(default=0, ge=0, lt=2**31)
    seed: int = Field(default=0, ge=0, lt=2**63)


class TrainerRecord(StrictTable):
    """The trainer's state besides tensors; see NonFiniteGuard, MicroBatch and TrainerState."""

    skipped: int = Field(default=0, ge=0, lt=2**63)
    streak: int = Field(default=0, ge=0, lt=2**63)
    first: int = Field(default=0, ge=0, lt=2**63)
    rate: float = Field(default=1.0, gt=0, le=1)
    micro_batch: dict[str, int | str | None] = {}
    evaluations: EvaluationRecord = EvaluationRecord()


class CheckpointState(StrictTable):
    """The content of state.json."""

    step: int = Field(ge=0, lt=2**63)
    bits: dict[str, int | float | str | bool | None]
    scaler: ScalerState | Annotated[dict[str, None], Field(max_length=0)]
    files: CheckpointFiles
    # Absent from checkpoints of the first versions.
    course: TrainerRecord = TrainerRecord()
    metrics: dict[str, float] = {}
    settings: dict[str, Any] = {}
    format: int = Field(ge=FORMAT, le=FORMAT)


def sign_state(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document of state.json with the SHA-256 of its other entries."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    content = json.dumps(rest, sort_keys=True).encode()
    return {**rest, "sha256": hashlib.sha256(content).hexdigest()}
