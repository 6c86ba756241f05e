"""The folder of a run's checkpoints: finds the newest good one, adds one, prunes old ones."""

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import save

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint import Checkpoint, folder_name, open_checkpoint, step_of
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.checkpoints.state_file import FORMAT, signed
from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.errors import CheckpointError

NAME = re.compile(r"step-[0-9]{8,}")


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
            durable.create_folder(self.path)
            durable.remove_partials(self.path)
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
