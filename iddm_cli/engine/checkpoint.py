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

import contextlib
import hashlib
import itertools
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from iddm_cli import durable
from iddm_cli.engine.checkpoint_state import FORMAT, FileRecord, Scaler, State, signed
from iddm_cli.engine.fit import (
    Tensors,
    check_fit,
    first,
    kinds_in,
    kinds_of,
    not_finite,
    refuse_long_header,
)
from iddm_cli.engine.retention import Retention
from iddm_cli.errors import CheckpointError

PARTS = ("model", "average", "optimizer")
WEIGHTS = ("model", "average")
NAME = re.compile(r"step-[0-9]{8,}")
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
            refuse_what_is_no_file(path)
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


def refuse_what_is_no_file(path: Path) -> None:
    """Refuse a pipe, which nobody may ever write to, or a device, which never ends.

    Raises:
        CheckpointError: It is there, and is no file.
        OSError: It is not there.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise CheckpointError(f"{path} is no file")


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
        refuse_what_is_no_file(file)
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


class CheckpointFolder:
    """The checkpoints of a run.

    Args:
        path: The folder that holds them.
        retention: Which of them stay; None keeps all.
    """

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self.path = path
        self.retention = retention

    def paths(self) -> list[Path]:
        """Return the checkpoint folders, oldest first."""
        found = self.path.iterdir() if self.path.is_dir() else iter(())
        return sorted((path for path in found if NAME.fullmatch(path.name)), key=step_of)

    def newest(self) -> tuple[Checkpoint, list[CheckpointError]]:
        """Return the newest checkpoint that verifies, and what is wrong with any newer ones.

        Raises:
            CheckpointError: None verifies.
        """
        damaged: list[CheckpointError] = []
        for path in reversed(self.paths()):
            try:
                checkpoint = open_checkpoint(path)
                checkpoint.verify()
            except CheckpointError as error:
                damaged.append(error)
            else:
                return checkpoint, damaged
        if damaged:
            raise CheckpointError("\n".join(error.problem for error in damaged), damaged[0].hint)
        raise CheckpointError(f"{self.path} holds no checkpoint")

    def sound(self) -> Iterator[Checkpoint]:
        """Yield the checkpoints that verify, the newest first."""
        for path in reversed(self.paths()):
            with contextlib.suppress(CheckpointError):
                checkpoint = open_checkpoint(path)
                checkpoint.verify()
                yield checkpoint

    def at(self, step: int) -> Checkpoint:
        """Return the checkpoint of one step.

        Raises:
            CheckpointError: There is none, or it does not verify.
        """
        path = self.path / folder_name(step)
        if not path.is_dir():
            known = ", ".join(str(step_of(path)) for path in self.paths()) or "none"
            raise CheckpointError(f"no checkpoint of step {step}", f"There are: {known}.")
        checkpoint = open_checkpoint(path)
        checkpoint.verify()
        return checkpoint

    def save(self, step: int, parts: dict[str, Tensors], state: dict[str, object]) -> Path:
        """Write a checkpoint, then remove those that are not to stay.

        Raises:
            CheckpointError: It could not be written; what was there before still is.
        """
        final = self.path / folder_name(step)
        try:
            durable.make_folder(self.path)
            durable.sweep(self.path)
            self.set_aside([final])
            durable.write_folder(final, checkpoint_files(step, parts, state))
        except OSError as error:
            reason = error.strerror or str(error)
            raise CheckpointError(
                f"the checkpoint of step {step} could not be saved: {reason}",
                "Earlier checkpoints are untouched. Make room, then: iddm resume",
            ) from error
        with contextlib.suppress(OSError):  # it is tried again after the next one
            self._prune()
        return final

    def set_aside(self, paths: list[Path]) -> None:
        """Rename checkpoints that are damaged, so that they are not met again, yet kept.

        Raises:
            OSError: One cannot be renamed.
        """
        for path in paths:
            if path.exists():
                names = (f"{path.name}.damaged-{number}" for number in itertools.count(1))
                free = (path.with_name(name) for name in names)
                durable.disk.rename(path, next(path for path in free if not path.exists()))

    def remove_after(self, step: int) -> None:
        """Remove the checkpoints of a course that is given up.

        Raises:
            OSError: One cannot be removed.
        """
        for path in self.paths():
            if step_of(path) > step:
                durable.remove_folder(path)

    def _prune(self) -> None:
        if self.retention is None:
            return
        found = {step_of(path): path for path in self.paths()}
        for step in self.retention.dispensable({s: _metrics(path) for s, path in found.items()}):
            durable.remove_folder(found[step])


def _metrics(path: Path) -> dict[str, float]:
    try:
        return open_checkpoint(path).metrics
    except CheckpointError:
        return {}


def checkpoint_files(
    step: int, parts: dict[str, Tensors], state: dict[str, object]
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a checkpoint, one at a time; the last one vouches for the others."""
    files = {}
    for part, tensors in parts.items():
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        name = f"{part}.safetensors"
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        yield name, content
    document = {"format": FORMAT, "step": step, **state, "files": files}
    yield "state.json", json.dumps(signed(document), indent=1).encode()
