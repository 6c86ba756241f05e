"""Checkpoints: folders of safetensors files, and one JSON file with their digests.

    step-00000500/
      model.safetensors       weights as the optimizer left them
      average.safetensors     averaged weights (EMA)
      optimizer.safetensors   optimizer state, named <parameter>.<quantity>
      discriminator.safetensors   only of an autoencoder that is trained against one
      state.json              format, step, what decided the bits, size and SHA-256 of each file,
                            and its own SHA-256

A checkpoint gets its name only when every byte of it is on the disk, and is used only where every
file still has its digest. Each file is hashed once per load.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iddm_cli.checkpoints.files import check_digest, check_regular_file
from iddm_cli.checkpoints.state_file import (
    FORMAT,
    CheckpointState,
    FileRecord,
    ScalerState,
    sign_state,
)
from iddm_cli.checkpoints.tensors import Tensors, read_tensors, truncate
from iddm_cli.errors import CheckpointError

PARTS = ("model", "average", "optimizer", "discriminator")
WEIGHTS = ("model", "average", "discriminator")
MAX_STATE_BYTES = 2**20


NUMERICS_BEFORE = {"kernels": "reference"}
"""What decided the last bits in earlier versions, which did not record it."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk whose state.json is valid.

    Attributes:
        path: Its folder.
        state: The content of state.json.
        verified: The parts whose digest was checked.
    """

    path: Path
    state: CheckpointState
    verified: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def step(self) -> int:
        """Number of updates made when it was saved."""
        return self.state.step

    @property
    def numerics(self) -> dict[str, Any]:
        """What decided the last bits when it was saved, besides profile and data."""
        return {**NUMERICS_BEFORE, **self.state.bits} if self.state.bits else {}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it was trained with, by their keys; empty in older checkpoints."""
        return self.state.settings

    @property
    def scaler(self) -> dict[str, Any]:
        """The state of the gradient scaler; empty where there was none."""
        scaler = self.state.scaler
        return scaler.model_dump(by_alias=True) if isinstance(scaler, ScalerState) else {}

    @property
    def trainer_state(self) -> dict[str, Any]:
        """The rest of the trainer's state: counts of skipped updates, lr scale, micro-batch."""
        return self.state.course.model_dump()

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by which the best checkpoint is chosen."""
        return self.state.metrics

    @property
    def skipped_streak(self) -> int:
        """Number of updates in a row that had been skipped when it was saved."""
        return self.state.course.streak

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it has."""
        return tuple(part for part in PARTS if getattr(self.state.files, part) is not None)

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read one part; check its digest first, unless that was done.

        Args:
            part: model, average, optimizer or discriminator.
            like: Tensors that it must match by name, shape and type; checked before data is read.

        Raises:
            CheckpointError: The file is missing or damaged, does not match, or holds weights that
                are not finite.
        """
        if part not in self.parts:
            raise CheckpointError(
                f"{self.path} has no {part}, and the run is trained with one",
                "Resume with the profile that it was trained with.",
            )
        self.verify([part])
        path = self.path / f"{part}.safetensors"
        return read_tensors(path, like, str(self.path / part), check_finite=part in WEIGHTS)

    def digest(self, part: str) -> str:
        """Return the SHA-256 of the file of a part, as state.json has it."""
        record: FileRecord = getattr(self.state.files, part)
        return record.sha256

    def verify(self, parts: Iterable[str] = PARTS) -> None:
        """Check the digests of some parts, those that it has and that were not checked before.

        Raises:
            CheckpointError: A file is missing or damaged.
        """
        for part in parts:
            if part in self.parts and part not in self.verified:
                record: FileRecord = getattr(self.state.files, part)
                check_digest(self.path / f"{part}.safetensors", record.bytes, record.sha256)
                self.verified.add(part)


def folder_name(step: int) -> str:
    """Return the folder name of a step's checkpoint."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """Return the step in a checkpoint's folder name."""
    return int(path.name.removeprefix("step-"))


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: It is missing, damaged, or of a newer format.
    """
    file = path / "state.json"
    try:
        check_regular_file(file)
        with file.open("rb") as handle:
            document = json.loads(handle.read(MAX_STATE_BYTES))
        sound = sign_state(document) == document
    except OSError as error:
        raise CheckpointError(
            f"{path} is not a valid checkpoint: {error.strerror}: state.json"
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {truncate(error)}") from error
    version = document.get("format")
    if type(version) is int and version != FORMAT:
        raise CheckpointError(
            f"{file} has checkpoint format {truncate(version)}; this version of iddm reads "
            f"format {FORMAT}",
            "Use the version of iddm that wrote it.",
        )
    try:
        state = CheckpointState.model_validate(document)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise CheckpointError(f"{file} is damaged: {truncate(where)}") from error
    if not sound or path.name != folder_name(state.step):
        raise CheckpointError(f"{file} is damaged: its content has changed")
    return Checkpoint(path, state)
