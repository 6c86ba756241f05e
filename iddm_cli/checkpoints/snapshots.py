"""Snapshots of the EMA, from which averages of other lengths are made after training.

    snapshots/step-00000512.safetensors     the EMA weights in 16 bits

Training writes one at multiples of an interval, and thins them out with age: for each doubling of
the age equally many are kept, so the spans between them are a fraction of their age. Which ones are
kept depends on the latest step alone, so a resumed run keeps those that an undisturbed one keeps.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors.torch import load, save

from iddm_cli import durable
from iddm_cli.checkpoints.state_file import StrictTable
from iddm_cli.checkpoints.tensors import Tensors, find_non_finite, truncate
from iddm_cli.errors import CheckpointError
from iddm_cli.records.file_headers import read_header

FORMAT = 1
KEY = "iddm"
NAME = re.compile(r"step-[0-9]{8,}\.safetensors")

FEWEST_A_RUN = 64
"""At least so many are written over a run, unless its steps are few."""

SNAPSHOT_NUMBER_BYTES = 2
"""Bytes of each number of a snapshot."""

SHORTEST_INTERVAL = 8
"""Steps between snapshots, at least: shorter runs would write little else."""


class SnapshotRecord(StrictTable):
    """The metadata of a snapshot's file."""

    format: int = Field(ge=FORMAT, le=FORMAT)
    step: int = Field(ge=1, lt=2**63)
    ema_decay: float = Field(ge=0, lt=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of all bytes after the header."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on the disk, whose header is valid."""

    path: Path
    record: SnapshotRecord

    def read(self) -> Tensors:
        """Read its tensors, after its digest is checked.

        Raises:
            CheckpointError: It is missing or damaged.
        """
        try:
            content = self.path.read_bytes()
            start = 8 + int.from_bytes(content[:8], "little")
            if hashlib.sha256(content[start:]).hexdigest() != self.record.sha256:
                raise CheckpointError(f"{self.path} is damaged: its SHA-256 has changed")
            tensors = load(content)
        except OSError as error:
            raise CheckpointError(f"{self.path}: {error.strerror}") from error
        if name := find_non_finite(tensors):
            raise CheckpointError(f"{self.path}: {name} holds numbers that are not finite")
        return tensors


def choose_interval(total_steps: int) -> int:
    """Return the steps between snapshots of a training: a power of two.

    A longer training has multiples of it, so a run that is extended keeps its snapshots.
    """
    interval = SHORTEST_INTERVAL
    while 2 * interval * FEWEST_A_RUN <= total_steps:
        interval *= 2
    return interval


def is_kept(step: int, latest: int, per_doubling: int) -> bool:
    """Return whether a snapshot is kept, once another one is taken.

    The larger the power of two that divides its step, the longer it is kept. So once one is
    deleted, it would never be kept again.

    Args:
        step: Its step.
        latest: The step of the newest one.
        per_doubling: How many are kept, about, of those between one age and twice that age.
    """
    largest_power = step & -step
    return latest - step < 2 * per_doubling * largest_power


def count_kept(total_steps: int, per_doubling: int) -> int:
    """Return how many snapshots a finished training has."""
    interval = choose_interval(total_steps)
    latest = total_steps // interval * interval
    steps = range(interval, total_steps + 1, interval)
    return sum(is_kept(step, latest, per_doubling) for step in steps)


class SnapshotFolder:
    """The snapshots of a run.

    Args:
        path: The folder that holds them.
        interval: Steps between them, see `choose_interval`.
        per_doubling: How many are kept, see `is_kept`.
    """

    def __init__(self, path: Path, interval: int = 1, per_doubling: int = 1) -> None:
        self.path = path
        self.interval = interval
        self.per_doubling = per_doubling

    def is_due(self, step: int) -> bool:
        """Return whether a snapshot is taken after a step."""
        return step % self.interval == 0

    def steps(self) -> list[int]:
        """Return the steps of the snapshots, oldest first."""
        found = self.path.iterdir() if self.path.is_dir() else iter(())
        return sorted(_step_of(path) for path in found if NAME.fullmatch(path.name))

    def write(self, step: int, average: Tensors, ema_decay: float) -> None:
        """Write a snapshot, then delete those that are not kept any more.

        Args:
            step: Number of updates made.
            average: The EMA weights.
            ema_decay: Their decay, once it is warmed up.

        Raises:
            OSError: It could not be written; earlier ones are untouched.
        """
        durable.create_folder(self.path)
        durable.remove_partials(self.path)
        durable.write_file(self._locate(step), encode_snapshot(step, average, ema_decay))
        for old in self.steps():
            if not is_kept(old, step, self.per_doubling):
                durable.discard(self._locate(old))

    def remove_after(self, step: int) -> None:
        """Delete the snapshots after a step, from which training starts again."""
        for later in self.steps():
            if later > step:
                durable.discard(self._locate(later))

    def open(self, step: int) -> Snapshot:
        """Read the record of a snapshot.

        Raises:
            CheckpointError: It is missing, damaged, or of a newer format.
        """
        path = self._locate(step)
        try:
            document = json.loads(read_header(path)["__metadata__"][KEY])
            record = SnapshotRecord.model_validate(document)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{path} is damaged: {truncate(error)}") from error
        if record.step != step:
            raise CheckpointError(f"{path} is damaged: it is of step {record.step}")
        return Snapshot(path, record)

    def _locate(self, step: int) -> Path:
        return self.path / f"step-{step:08d}.safetensors"


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def encode_snapshot(step: int, average: Tensors, ema_decay: float) -> bytes:
    """Return the content of a snapshot's file."""
    tensors = {name: _halve(tensor).contiguous() for name, tensor in average.items()}
    body = save(tensors)
    start = 8 + int.from_bytes(body[:8], "little")
    digest = hashlib.sha256(body[start:]).hexdigest()
    record: dict[str, Any] = {"format": FORMAT, "step": step, "ema_decay": ema_decay}
    return save(tensors, {KEY: json.dumps(record | {"sha256": digest})})


def _halve(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in 16 bits; as it is where these cannot hold its numbers.

    fp16 has three more bits than bf16, and weights do not need the range of that.
    """
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if bool(half.isfinite().all()) else tensor
