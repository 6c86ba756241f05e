"""The checkpoints of a run: find the latest valid one, add one, delete old ones."""

import contextlib
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors.torch import save

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint import PARTS, Checkpoint, folder_name, open_checkpoint, step_of
from iddm_cli.checkpoints.retention import Retention, find_best
from iddm_cli.checkpoints.state_file import FORMAT, record_file, sign_state
from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.errors import CheckpointError
from iddm_cli.machine.system_limits import explain_error

NAME = re.compile(r"step-[0-9]{8,}")


class CheckpointFolder:
    """The checkpoints of a run.

    Args:
        path: The folder that holds them.
        retention: Which checkpoints are kept; None keeps all.
    """

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self.path = path
        self.retention = retention

    def paths(self) -> list[Path]:
        """Return the checkpoint folders, oldest first."""
        found = self.path.iterdir() if self.path.is_dir() else iter(())
        named = (path for path in found if NAME.fullmatch(path.name))
        return sorted(filter(durable.is_complete, named), key=step_of)

    def latest_valid(
        self, parts: Sequence[str] = PARTS
    ) -> tuple[Checkpoint, list[CheckpointError]]:
        """Return the newest valid checkpoint, and the errors of any newer ones.

        Args:
            parts: The parts whose digests are checked; those that the caller will read.

        Raises:
            CheckpointError: None is valid.
        """
        errors: list[CheckpointError] = []
        for path in reversed(self.paths()):
            try:
                return self._open(path, parts), errors
            except CheckpointError as error:
                errors.append(error)
        if errors:
            raise CheckpointError("\n".join(error.problem for error in errors), errors[0].hint)
        raise CheckpointError(f"{self.path} has no checkpoint")

    def iter_valid(self) -> Iterator[Checkpoint]:
        """Yield the valid checkpoints, newest first."""
        for path in reversed(self.paths()):
            with contextlib.suppress(CheckpointError):
                yield self._open(path, PARTS)

    def at(self, step: int, parts: Sequence[str] = PARTS) -> Checkpoint:
        """Return the checkpoint of one step.

        Args:
            step: The step.
            parts: The parts whose digests are checked; those that the caller will read.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        path = self.path / folder_name(step)
        if not path.is_dir():
            known = ", ".join(map(str, self.steps())) or "none"
            raise CheckpointError(f"no checkpoint of step {step}", f"Available steps: {known}.")
        return self._open(path, parts)

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints, oldest first."""
        return [step_of(path) for path in self.paths()]

    def find_best(self, metric: str) -> int | None:
        """Return the step of the best checkpoint by a metric; None where none records it.

        Only state.json of each checkpoint is read.
        """
        return find_best({step_of(path): _metrics(path) for path in self.paths()}, metric)

    def read_latest_settings(self) -> tuple[int, dict[str, object]]:
        """Return step and settings of the newest checkpoint whose state.json is valid.

        Its tensors are not read; without a checkpoint, the step is 0.
        """
        latest = self._peek_latest()
        return (latest.step, latest.settings) if latest else (0, {})

    def read_latest_numerics(self) -> dict[str, object]:
        """Return the numerics of the newest checkpoint whose state.json is valid, or {}.

        Its tensors are not read.
        """
        latest = self._peek_latest()
        return latest.numerics if latest else {}

    def _peek_latest(self) -> Checkpoint | None:
        for path in reversed(self.paths()):
            with contextlib.suppress(CheckpointError):
                return open_checkpoint(path)
        return None

    @staticmethod
    def _open(path: Path, parts: Sequence[str]) -> Checkpoint:
        checkpoint = open_checkpoint(path)
        checkpoint.verify(parts)
        return checkpoint

    def save(self, step: int, parts: dict[str, Tensors], state: dict[str, object]) -> Path:
        """Write a checkpoint, then delete those that retention does not keep.

        Raises:
            CheckpointError: It could not be written; earlier checkpoints are untouched.
        """
        final = self.path / folder_name(step)
        try:
            durable.create_folder(self.path)
            durable.remove_partials(self.path)
            self.quarantine([final])
            durable.write_folder(final, checkpoint_files(step, parts, state))
        except OSError as error:
            reason, hint = explain_error(error) or (
                error.strerror or str(error),
                "Free disk space.",
            )
            raise CheckpointError(
                f"the checkpoint of step {step} could not be saved: {reason}",
                f"Earlier checkpoints are untouched. {hint} Then run: iddm resume",
            ) from error
        with contextlib.suppress(OSError):  # retried after the next checkpoint
            self._prune()
        return final

    def quarantine(self, paths: list[Path]) -> None:
        """Rename damaged checkpoints, so that they are kept but never tried again.

        Raises:
            OSError: One cannot be renamed.
        """
        for path in paths:
            if path.exists():
                names = (f"{path.name}.damaged-{number}" for number in itertools.count(1))
                free = (path.with_name(name) for name in names)
                durable.rename_folder(path, next(path for path in free if not path.exists()))

    def remove_after(self, step: int) -> None:
        """Delete the checkpoints after a step, from which training rolled back.

        Raises:
            OSError: One cannot be deleted.
        """
        for path in self.paths():
            if step_of(path) > step:
                durable.remove_folder(path)

    def _prune(self) -> None:
        if self.retention is None:
            return
        found = {step_of(path): path for path in self.paths()}
        for step in self.retention.to_delete({s: _metrics(path) for s, path in found.items()}):
            durable.remove_folder(found[step])


def _metrics(path: Path) -> dict[str, float]:
    try:
        return open_checkpoint(path).metrics
    except CheckpointError:
        return {}


def checkpoint_files(
    step: int, parts: dict[str, Tensors], state: dict[str, object]
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a checkpoint one at a time; state.json, the last, has their digests."""
    files = {}
    for part, tensors in parts.items():
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        name = f"{part}.safetensors"
        files[name] = record_file(content).model_dump()
        yield name, content
    document = {"format": FORMAT, "step": step, **state, "files": files}
    yield "state.json", json.dumps(sign_state(document), indent=1).encode()
