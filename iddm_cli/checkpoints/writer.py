"""The asynchronous checkpoint writer: writes in a thread, while training continues.

Training waits only until its tensors are copied. One checkpoint is written at a time: the next one
waits until the one before is on the disk.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from iddm_cli.checkpoints.checkpoint import WEIGHTS
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.checkpoints.tensors import Tensors, find_non_finite
from iddm_cli.errors import CheckpointError, IddmError, NonFiniteError


class AsyncCheckpointWriter:
    """Writes the checkpoints of a run.

    Args:
        folder: The checkpoints of the run.

    Attributes:
        saved: The step of the last checkpoint on the disk; None: none was saved yet.
        problem: Why the last attempt failed; None: it did not.
    """

    def __init__(self, folder: CheckpointFolder) -> None:
        self.folder = folder
        self.saved: int | None = None
        self.problem: IddmError | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._writing: tuple[int, Future[Path]] | None = None

    def begin(
        self, step: int, parts: dict[str, Tensors], state: dict[str, object]
    ) -> list[Saved | SaveFailed]:
        """Begin to write a checkpoint; return the outcome of the one before.

        Args:
            step: Number of updates made.
            parts: The tensors of each file; the caller must not change them any more.
            state: The other entries of state.json.
        """
        outcome = self.wait()
        self._writing = (step, self._submit(step, parts, state))
        return outcome

    def _submit(
        self, step: int, parts: dict[str, Tensors], state: dict[str, object]
    ) -> Future[Path]:
        """Write in the thread; where none can be started, write now and let training wait."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-writer")
        try:
            return self._thread.submit(self._write, step, parts, state)
        except RuntimeError:
            self._thread = None  # it still holds the work
        future: Future[Path] = Future()
        try:
            future.set_result(self._write(step, parts, state))
        except IddmError as error:
            future.set_exception(error)
        return future

    def poll(self) -> list[Saved | SaveFailed]:
        """Return the outcome of the checkpoint being written, if it is done; does not wait."""
        return self.wait() if self._writing and self._writing[1].done() else []

    def wait(self) -> list[Saved | SaveFailed]:
        """Wait for the checkpoint being written, if there is one; return its outcome."""
        if self._writing is None:
            return []
        (step, future), self._writing = self._writing, None
        try:
            path = future.result()
        except IddmError as error:
            self.problem = error
            return [SaveFailed(step, error.problem)]
        self.saved, self.problem = step, None
        return [Saved(step, path)]

    def close(self) -> None:
        """Wait for the checkpoint being written, whatever its outcome."""
        if self._thread is not None:
            self._thread.shutdown()

    def _write(self, step: int, parts: dict[str, Tensors], state: dict[str, object]) -> Path:
        check_finite(step, parts)
        try:
            return self.folder.save(step, parts, state)
        except MemoryError as error:
            raise CheckpointError(
                f"the checkpoint of step {step} could not be saved: memory ran out"
            ) from error


def check_finite(step: int, parts: dict[str, Tensors]) -> None:
    """Check that no weight and no averaged weight is nan or infinite.

    Raises:
        NonFiniteError: One is.
    """
    for part in WEIGHTS:
        name = find_non_finite(parts.get(part, {}))
        if name is not None:
            raise NonFiniteError(
                f"the checkpoint of step {step} is not saved: in {part}, {name} holds numbers "
                "that are not finite"
            )
