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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from iddm_cli import durable
from iddm_cli.engine.retention import Retention
from iddm_cli.errors import CheckpointError

FORMAT = 1
PARTS = ("model", "average", "optimizer")
NAME = re.compile(r"step-(\d{8,})")
MOST_STATE_BYTES = 2**20
TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}
"""What safetensors and torch call the same types."""

Tensors = dict[str, Tensor]
Kinds = dict[str, tuple[list[int], str]]
"""The shape and type of each tensor, by its name."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk whose state.json is well formed.

    Attributes:
        path: Its folder.
        step: Updates done when it was saved.
        bits: What decided the last bits when it was saved.
        scaler: The state of the gradient scaler.
        files: Size and SHA-256 of each file.
        course: What else training has to remember; see TrainingState.
        metrics: Figures by which the best checkpoint is chosen.
    """

    path: Path
    step: int
    bits: dict[str, object]
    scaler: dict[str, Any]
    files: dict[str, dict[str, object]]
    course: dict[str, Any]
    metrics: dict[str, float]

    @property
    def streak(self) -> int:
        """Updates in a row that had been skipped when it was saved."""
        return int(self.course.get("streak", 0))

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read one part, checking its digest.

        Args:
            part: model, average or optimizer.
            like: What it must fit, by names, shapes and types; before any of it is read.

        Raises:
            CheckpointError: The file is missing, is not what was written, or does not fit.
        """
        path = self.path / f"{part}.safetensors"
        self.check(path)
        try:
            if like is not None:
                check_fit(kinds_of(like), kinds_in(path), str(self.path / part))
            return load_file(path)
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path}: {error}") from error

    def check(self, path: Path) -> None:
        """Compare a file with the size and digest that were written down for it.

        Raises:
            CheckpointError: It is missing, or is not what was written.
        """
        wanted = self.files.get(path.name, {})
        try:
            if path.stat().st_size != wanted.get("bytes"):
                raise CheckpointError(f"{path} is damaged: its size has changed")
            with path.open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        if found != wanted.get("sha256"):
            raise CheckpointError(f"{path} is damaged: its SHA-256 has changed")

    def verify(self) -> None:
        """Check every file.

        Raises:
            CheckpointError: One is missing or is not what was written.
        """
        for part in PARTS:
            self.check(self.path / f"{part}.safetensors")


def folder_name(step: int) -> str:
    """Return the name of the checkpoint of that step."""
    return f"step-{step:08d}"


def signed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a state.json's document with the SHA-256 of all else in it."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    content = json.dumps(rest, sort_keys=True).encode()
    return {**rest, "sha256": hashlib.sha256(content).hexdigest()}


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's state.json.

    Raises:
        CheckpointError: It is missing, malformed, or of a newer format.
    """
    try:
        with (path / "state.json").open("rb") as handle:
            content = handle.read(MOST_STATE_BYTES)
        document = json.loads(content)
        version, sound = int(document["format"]), signed(document) == document
        step = int(document["step"])
        tables = {name: dict(document[name]) for name in ("bits", "scaler", "files")}
        # The first checkpoints had none of these.
        tables |= {name: dict(document.get(name, {})) for name in ("course", "metrics")}
        _check_course(tables["course"])
    except OSError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error.strerror}: state.json") from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{path / 'state.json'} is damaged: {error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version}; this version of iddm reads {FORMAT}",
            "Use the version of iddm that wrote it.",
        )
    if not sound or path.name != folder_name(step):
        raise CheckpointError(f"{path / 'state.json'} is damaged: it is not what was written")
    return Checkpoint(path, step, **tables)


def _check_course(course: dict[str, Any]) -> None:
    """Raise a ValueError where these are not the values that a training remembers."""
    counts = [course.get(name, 0) for name in ("skipped", "streak", "first")]
    rate = course.get("rate", 1.0)
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise ValueError("course has counts that are none")
    if type(rate) not in (int, float) or not 0 < rate <= 1:
        raise ValueError("course.rate is no share")
    if not isinstance(course.get("micro_batch", {}), dict):
        raise ValueError("course.micro_batch is no table")


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
        named = ((NAME.fullmatch(path.name), path) for path in found)
        return [path for _, path in sorted((int(m[1]), path) for m, path in named if m)]

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
            steps = [int(path.name.removeprefix("step-")) for path in self.paths()]
            known = ", ".join(map(str, steps)) or "none"
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
            durable.write_folder(final, _files(step, parts, state))
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
            if path.name > folder_name(step):
                durable.remove_folder(path)

    def _prune(self) -> None:
        if self.retention is None:
            return
        found = {int(path.name.removeprefix("step-")): path for path in self.paths()}
        for step in self.retention.dispensable({s: _metrics(path) for s, path in found.items()}):
            durable.remove_folder(found[step])


def _metrics(path: Path) -> dict[str, float]:
    try:
        return open_checkpoint(path).metrics
    except CheckpointError:
        return {}


def _files(
    step: int, parts: dict[str, Tensors], state: dict[str, object]
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a checkpoint; the last one vouches for the others."""
    files = {}
    for part, tensors in parts.items():
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        name = f"{part}.safetensors"
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        yield name, content
    document = {"format": FORMAT, "step": step, **state, "files": files}
    yield "state.json", json.dumps(signed(document), indent=1).encode()


def kinds_of(tensors: Tensors) -> Kinds:
    """Describe some tensors."""
    return {
        name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for name, tensor in tensors.items()
    }


def kinds_in(path: Path) -> Kinds:
    """Describe the tensors of a file, of which only the header is read.

    Raises:
        SafetensorError: It is no such file.
    """
    with safe_open(path, framework="pt") as handle:
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118
        return {
            name: (list(part.get_shape()), TYPES.get(part.get_dtype(), part.get_dtype()))
            for name, part in slices.items()
        }


def check_fit(targets: Kinds, saved: Kinds, what: str) -> None:
    """Hold saved tensors against those that they are to be copied into.

    Raises:
        CheckpointError: A tensor is missing, unexpected, or of another shape or type.
    """
    missing = sorted(targets.keys() - saved.keys())
    unexpected = sorted(saved.keys() - targets.keys())
    common = sorted(targets.keys() & saved.keys())
    misshapen, mistyped = (
        [
            f"{name} is {saved[name][i]}, should be {targets[name][i]}"
            for name in common
            if saved[name][i] != targets[name][i]
        ]
        for i in (0, 1)
    )
    told = [
        f"{word}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        for word, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", misshapen),
            ("wrong type", mistyped),
        )
        if names
    ]
    if told:
        raise CheckpointError(
            f"{what} does not fit this network: {'; '.join(told)}",
            "The profile's model section must be the one it was trained with.",
        )
