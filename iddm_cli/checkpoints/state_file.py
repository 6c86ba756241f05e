"""What state.json of a checkpoint says, in tables whose types are checked."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1


class Strict(BaseModel):
    """A table of state.json: of the right types, and nothing beyond all numbers."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class FileRecord(Strict):
    """What vouches for a file."""

    bytes: int = Field(ge=0, lt=2**63)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Files(Strict):
    """The files of a checkpoint."""

    model: FileRecord = Field(alias="model.safetensors")
    average: FileRecord = Field(alias="average.safetensors")
    optimizer: FileRecord = Field(alias="optimizer.safetensors")


class Scaler(Strict):
    """The state of the gradient scaler."""

    scale: float = Field(gt=0)
    growth_factor: float = Field(gt=1)
    backoff_factor: float = Field(gt=0, lt=1)
    growth_interval: int = Field(ge=1)
    growth_tracker: int = Field(ge=0, alias="_growth_tracker")


class Course(Strict):
    """What training has to remember besides its tensors; see Guard, MicroBatch and Trainer."""

    skipped: int = Field(default=0, ge=0, lt=2**63)
    streak: int = Field(default=0, ge=0, lt=2**63)
    first: int = Field(default=0, ge=0, lt=2**63)
    rate: float = Field(default=1.0, gt=0, le=1)
    micro_batch: dict[str, int | str | None] = {}


class State(Strict):
    """The content of state.json."""

    step: int = Field(ge=0, lt=2**63)
    bits: dict[str, int | float | str | bool | None]
    scaler: Scaler | Annotated[dict[str, None], Field(max_length=0)]
    files: Files
    # The first checkpoints had none of these.
    course: Course = Course()
    metrics: dict[str, float] = {}
    format: int = Field(ge=FORMAT, le=FORMAT)


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a state.json's document with the SHA-256 of all else in it."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    content = json.dumps(rest, sort_keys=True).encode()
    return {**rest, "sha256": hashlib.sha256(content).hexdigest()}
