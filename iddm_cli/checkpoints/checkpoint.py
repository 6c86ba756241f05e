"""Checkpoints: folders of safetensors and one JSON file that vouches for them.

    step-00000500/
      model.safetensors       weights as the optimizer left them
      average.safetensors     averaged weights
      optimizer.safetensors   its state, named <parameter>.<quantity>
      state.json              format, step, what decided the bits, size and SHA-256 of each file,
                            and its own SHA-256

A checkpoint appears under its name only when every byte of it is on the disk, and is used only
if every file still has its digest.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from iddm_cli.checkpoints.files import check_regular_file
from iddm_cli.checkpoints.state_file import FORMAT, FileRecord, Scaler, State, signed
from iddm_cli.checkpoints.tensors import (
    Tensors,
    check_fit,
    first,
    kinds_in,
    kinds_of,
    not_finite,
    refuse_long_header,
)
from iddm_cli.errors import CheckpointError

PARTS = ("model", "average", "optimizer")
WEIGHTS = ("model", "average")
MOST_STATE_BYTES = 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk whose state.json is well formed.

    Attributes:
        path: Its folder.
        state: What state.json says.
    """

    path: Path
    state: State

    @property
    def step(self) -> int:
        """Updates done when it was saved."""
        return self.state.step

    @property
    def bits(self) -> dict[str, Any]:
        """What decided the last bits when it was saved."""
        return self.state.bits

    @property
    def scaler(self) -> dict[str, Any]:
        """The state of the gradient scaler; empty where there was none."""
        scaler = self.state.scaler
        return scaler.model_dump(by_alias=True) if isinstance(scaler, Scaler) else {}

    @property
    def course(self) -> dict[str, Any]:
        """What else training has to remember."""
        return self.state.course.model_dump()

    @property
    def metrics(self) -> dict[str, float]:
        """Figures by which the best checkpoint is chosen."""
        return self.state.metrics

    @property
    def streak(self) -> int:
        """Updates in a row that had been skipped when it was saved."""
        return self.state.course.streak

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read one part, checking its digest.

        Args:
            part: model, average or optimizer.
            like: What it must fit, by names, shapes and types; before any of it is read.

        Raises:
            CheckpointError: The file is missing, is not what was written, does not fit, or holds
                weights that are not finite.
        """
        path = self.path / f"{part}.safetensors"
        self.check(part)
        try:
            if like is not None:
                refuse_long_header(path, len(like))
                check_fit(kinds_of(like), kinds_in(path), str(self.path / part))
            tensors = load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path}: {first(error)}") from error
        name = not_finite(tensors) if part in WEIGHTS else None
        if name is not None:
            raise CheckpointError(f"{path}: {first(name)} holds numbers that are not finite")
        return tensors

    def check(self, part: str) -> None:
        """Compare a file with the size and digest that were written down for it.

        Raises:
            CheckpointError: It is missing, or is not what was written.
        """
        path = self.path / f"{part}.safetensors"
        wanted: FileRecord = getattr(self.state.files, part)
        try:
            check_regular_file(path)
            if path.stat().st_size != wanted.bytes:
                raise CheckpointError(f"{path} is damaged: its size has changed")
            with path.open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        if found != wanted.sha256:
            raise CheckpointError(f"{path} is damaged: its SHA-256 has changed")

    def verify(self) -> None:
        """Check every file.

        Raises:
            CheckpointError: One is missing or is not what was written.
        """
        for part in PARTS:
            self.check(part)


def folder_name(step: int) -> str:
    """Return the name of the checkpoint of that step."""
    return f"step-{step:08d}"


def step_of(path: Path) -> int:
    """Return the step that is in a checkpoint's name."""
    return int(path.name.removeprefix("step-"))


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: It is missing, malformed, or of a newer format.
    """
    file = path / "state.json"
    try:
        check_regular_file(file)
        with file.open("rb") as handle:
            document = json.loads(handle.read(MOST_STATE_BYTES))
        sound = signed(document) == document
    except OSError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error.strerror}: state.json") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {first(error)}") from error
    version = document.get("format")
    if type(version) is int and version != FORMAT:
        raise CheckpointError(
            f"{file} has checkpoint format {first(version)}; this version of iddm reads {FORMAT}",
            "Use the version of iddm that wrote it.",
        )
    try:
        state = State.model_validate(document)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise CheckpointError(f"{file} is damaged: {first(where)}") from error
    if not sound or path.name != folder_name(state.step):
        raise CheckpointError(f"{file} is damaged: it is not what was written")
    return Checkpoint(path, state)
