"""The saver: writes checkpoints in a thread, while training goes on.

Training waits only until its tensors are copied. One checkpoint is written at a time: who comes
with the next one too early waits for the one before.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.checkpoints.checkpoint import WEIGHTS
from iddm_cli.checkpoints.events import Saved, Unsaved
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.tensors import Tensors, not_finite
from iddm_cli.errors import CheckpointError, IddmError, NonFiniteError


class Saver:
    """Saves checkpoints into one folder.

    Attributes:
        saved: The step of the newest checkpoint that is safe; None: none was saved yet.
        problem: Why the newest attempt failed; None: it did not.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self.folder = folder
        self.saved: int | None = None
        self.problem: IddmError | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._writing: tuple[int, Future[Path]] | None = None

    def begin(
        self, step: int, parts: dict[str, Tensors], state: dict[str, object]
    ) -> list[Saved | Unsaved]:
        """Begin to write a checkpoint; return what became of the one before.

        Args:
            step: Updates done.
            parts: Tensors that nobody else changes.
            state: What else is saved with them.
        """
        told = self.wait()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="saver")
        self._writing = (step, self._thread.submit(self._write, step, parts, state))
        return told

    def done(self) -> list[Saved | Unsaved]:
        """Return what became of the checkpoint that was begun, if that is known."""
        return self.wait() if self._writing and self._writing[1].done() else []

    def wait(self) -> list[Saved | Unsaved]:
        """Wait for the checkpoint that was begun, if there is one, and return what became of it."""
        if self._writing is None:
            return []
        (step, future), self._writing = self._writing, None
        try:
            path = future.result()
        except IddmError as error:
            self.problem = error
            return [Unsaved(step, error.problem)]
        self.saved, self.problem = step, None
        return [Saved(step, path)]

    def close(self) -> None:
        """Let the writing end, whatever becomes of it."""
        if self._thread is not None:
            self._thread.shutdown()

    def _write(self, step: int, parts: dict[str, Tensors], state: dict[str, object]) -> Path:
        refuse_what_is_not_finite(step, parts)
        try:
            return self.folder.save(step, parts, state)
        except MemoryError as error:
            raise CheckpointError(
                f"the checkpoint of step {step} could not be saved: no memory is left"
            ) from error


def refuse_what_is_not_finite(step: int, parts: dict[str, Tensors]) -> None:
    """Refuse weights that nobody could go on with.

    Raises:
        NonFiniteError: A weight, or the average of one, is not a finite number.
    """
    for part in WEIGHTS:
        name = not_finite(parts.get(part, {}))
        if name is not None:
            raise NonFiniteError(
                f"the checkpoint of step {step} is not saved: in {part}, {name} holds numbers "
                "that are not finite"
            )


def snapshot(tensors: Tensors) -> Tensors:
    """Copy tensors into memory of their own, on the CPU."""
    return {name: _copied(tensor) for name, tensor in tensors.items()}


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.preserve_format)
