"""Training a run: what `train` and `resume` share, from the data to the last checkpoint."""

import contextlib
import traceback
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.display.progress import TrainingProgress
from iddm_cli.engine.events import TIME_UP, Event, Stopped
from iddm_cli.errors import CheckpointError, NonFiniteError, RunError
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.run_logger import RunLogger, save_loss_plot
from iddm_cli.workflows.training.stop_requests import StopRequests

if TYPE_CHECKING:
    from iddm_cli.build.compute import ComputeContext
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.trainer import Trainer


def run_training(
    trainer: "Trainer", run: Run, *, as_json: bool, deadline: float | None = None
) -> int:
    """Train to the end or until asked to stop; the leader keeps the run's files up to date.

    The run must be locked.

    Args:
        trainer: What trains.
        run: Its run.
        as_json: Whether the result is told as JSON.
        deadline: When the time is up, by time.monotonic(); None: never.

    Returns:
        The exit code: 0, or 128 and the signal that asked for a stop.

    Raises:
        IddmError: Training failed; the run says so, and the last good checkpoint is named.
    """
    if not trainer.group.is_main:
        with StopRequests(deadline) as requests, contextlib.closing(trainer.batches.store):
            last = deque(trainer.fit(asked=requests), maxlen=1)  # of millions, one a step
        return _exit_code(last[0] if last else None)
    recorder = RunLogger(run, trainer.guard.read().total)
    run.record_dataset(state="running", step=trainer.step, steps=trainer.total)
    run.log(f"training from step {trainer.step} to {trainer.total}")
    try:
        with contextlib.closing(trainer.batches.store):
            stopped = _train(trainer, recorder, deadline)
    except BaseException as error:
        # On a full disk this cannot be written down either; the error itself must come through.
        with contextlib.suppress(OSError, RunError):
            run.record_dataset(state="failed", step=trainer.step)
        recorder.log("".join(traceback.format_exception(error)))
        if isinstance(error, NonFiniteError):
            raise _diagnosed(error, trainer, run) from error
        raise
    run.record_dataset(state="interrupted" if stopped else "finished", step=trainer.step)
    recorder.log(f"{'stopped' if stopped else 'finished'} at step {trainer.step}")
    _conclude(run, trainer, stopped, as_json=as_json)
    return _exit_code(stopped)


def _exit_code(last: Event | None) -> int:
    return last.exit_code if isinstance(last, Stopped) else 0


def _train(trainer: "Trainer", recorder: RunLogger, deadline: float | None) -> Stopped | None:
    """Return the event by which training stopped, or None where it reached its last step."""
    progress = TrainingProgress(
        step=trainer.step, total=trainer.total, batch_size=trainer.settings.batch_size
    )
    with StopRequests(deadline) as requests, progress:
        for event in trainer.fit(asked=requests):
            recorder.record(event)
            progress.show(event)
            if isinstance(event, Stopped):
                return event
    return None


def _diagnosed(error: NonFiniteError, trainer: "Trainer", run: Run) -> NonFiniteError:
    try:
        good, _ = trainer.checkpoints.newest()
    except CheckpointError:
        kept, command = "No checkpoint had been saved yet.", "iddm train ..."
    else:
        kept, command = f"The last good checkpoint is {good.path}.", f"iddm resume {run.name}"
    lower = f"{command} --set training.lr={trainer.rate * trainer.settings.lr / 3:.1g}"
    return NonFiniteError(error.problem, f"{kept} A lower learning rate often helps: {lower}")


def _conclude(run: Run, trainer: "Trainer", stopped: Stopped | None, *, as_json: bool) -> None:
    save_loss_plot(run)
    grid = latest_sample_grid(run)
    if as_json:
        rows = run.rows()
        console.document(
            {
                "run": run.name,
                "path": str(run.path),
                "state": "interrupted" if stopped else "finished",
                "step": trainer.step,
                "steps": trainer.total,
                "loss": rows[-1]["loss"] if rows else None,
                "samples": str(grid) if grid else None,
            }
        )
    elif stopped:
        why = "the time is up; " if stopped.request == TIME_UP else ""
        console.record_dataset(
            f"{why}saved step {trainer.step} of {trainer.total}; go on with: iddm resume {run.name}"
        )
    else:
        console.result(str(grid or run.path))
        console.record_dataset(f"finished {run.name}; draw more with: iddm generate {run.name}")


def latest_sample_grid(run: Run) -> Path | None:
    """Return the newest sample grid, or None."""
    return max(run.samples.glob("step-*.png"), default=None)


def describe_compute(group: "ProcessGroup", place: "ComputeContext") -> str:
    """Say on what a run computes: 4 x cuda (NVIDIA H100), bf16."""
    from iddm_cli.engine.device import describe

    several = f"{group.world_size} processes, each on " if group.world_size > 1 else ""
    return f"{several}{describe(place.device)}, {place.precision}"
