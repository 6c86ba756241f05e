"""The stored EMAs of a run: those of its checkpoints, and its snapshots."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from iddm_cli.display import console
from iddm_cli.errors import CheckpointError

if TYPE_CHECKING:
    from iddm_cli.checkpoints.checkpoint import Checkpoint
    from iddm_cli.checkpoints.snapshots import Snapshot
    from iddm_cli.checkpoints.tensors import Tensors
    from iddm_cli.runs.run import Run

Key = TypeVar("Key")
Opened = TypeVar("Opened")


@dataclass(frozen=True)
class StoredAverage:
    """An EMA on the disk, whose record is valid.

    Attributes:
        step: Number of updates made.
        ema_decay: The decay of the updates before it.
        origin: Whether a checkpoint holds it or a snapshot.
        sha256: Its recorded digest.
        read: Reads its tensors, and raises CheckpointError where they are damaged.
    """

    step: int
    ema_decay: float
    origin: Literal["checkpoint", "snapshot"]
    sha256: str
    read: "Callable[[], Tensors]"


def list_stored_averages(run: "Run", ema_decay: float) -> list[StoredAverage]:
    """Return the EMAs that a run has stored, oldest first.

    Where a step has both a checkpoint and a snapshot, the checkpoint is taken, which has all bits.
    A damaged one is left out, with a warning.

    Args:
        run: The run.
        ema_decay: The decay of checkpoints that do not record it.
    """
    from iddm_cli.checkpoints.checkpoint import open_checkpoint
    from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
    from iddm_cli.checkpoints.snapshots import SnapshotFolder

    snapshots = SnapshotFolder(run.snapshots_dir)
    opened = _open_valid(snapshots.open, snapshots.steps())
    found = {snapshot.record.step: _from_snapshot(snapshot) for snapshot in opened}
    paths = CheckpointFolder(run.checkpoints_dir).paths()
    for checkpoint in _open_valid(open_checkpoint, paths):
        found[checkpoint.step] = _from_checkpoint(checkpoint, ema_decay)
    return [found[step] for step in sorted(found)]


def _open_valid(open_one: Callable[[Key], Opened], keys: Iterable[Key]) -> Iterator[Opened]:
    """Yield what can be opened, and warn of the rest."""
    for key in keys:
        try:
            yield open_one(key)
        except CheckpointError as error:
            console.print_warning(f"{error.problem}; it is left out")


def _from_snapshot(snapshot: "Snapshot") -> StoredAverage:
    record = snapshot.record
    return StoredAverage(record.step, record.ema_decay, "snapshot", record.sha256, snapshot.read)


def _from_checkpoint(checkpoint: "Checkpoint", ema_decay: float) -> StoredAverage:
    decay = float(checkpoint.settings.get("training.ema_decay", ema_decay))
    digest = checkpoint.digest("average")
    read = partial(checkpoint.read, "average")
    return StoredAverage(checkpoint.step, decay, "checkpoint", digest, read)
