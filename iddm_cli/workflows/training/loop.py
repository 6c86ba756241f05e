"""The training loop: trains a run to its end, and keeps the run's files up to date."""

import contextlib
import traceback
from collections import deque
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.display.progress import TrainingProgress
from iddm_cli.engine.events import Event, Request, Stopped, StoppedEarly
from iddm_cli.errors import CheckpointError, NonFiniteError, RunError
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS
from iddm_cli.profiles.training_length import is_test, is_too_short, suggest_steps
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.run_logger import RunLogger, latest_sample_grid, save_loss_plot
from iddm_cli.workflows.training.stop_requests import StopRequests

if TYPE_CHECKING:
    from iddm_cli.engine.trainer import Trainer


def run_training(
    trainer: "Trainer", run: Run, *, as_json: bool, deadline: float | None = None
) -> int:
    """Train to the last step or until a stop is requested. Collective: every process must call it.

    The main process, which must hold the run's lock, keeps the run's files up to date.

    Args:
        trainer: The trainer.
        run: Its run.
        as_json: Whether the result is printed as JSON.
        deadline: When the time is up, by time.monotonic(); None: never.

    Returns:
        The exit code: 0, or 128 and the signal that requested the stop.

    Raises:
        IddmError: Training failed; the run records it, and the hint names the last good checkpoint.
    """
    if not trainer.group.is_main:
        with StopRequests(deadline) as requests, contextlib.closing(trainer):
            last = deque(trainer.fit(requests.poll), maxlen=1)  # keeps one of millions of events
        return _exit_code(last[0] if last else None)
    skipped, best_metric = trainer.state.guard.read().total, trainer.settings.best_metric
    logger = RunLogger(run, skipped, best_metric=best_metric)
    run.update_manifest(state="running", step=trainer.step, steps=trainer.total_steps)
    run.log(f"training from step {trainer.step} to {trainer.total_steps}")
    try:
        with contextlib.closing(trainer):
            end = _train(trainer, run, logger, deadline)
    except BaseException as error:
        # On a full disk this cannot be written either; the error itself must come through.
        with contextlib.suppress(OSError, RunError):
            run.update_manifest(state="failed", step=trainer.step)
        logger.log("".join(traceback.format_exception(error)))
        if isinstance(error, NonFiniteError):
            raise _add_hint(error, trainer, run) from error
        raise
    stopped, early = isinstance(end, Stopped), isinstance(end, StoppedEarly)
    state = "interrupted" if stopped else "finished"
    try:
        run.update_manifest(state=state, step=trainer.step, stopped_early=early)
    except OSError as error:
        console.print_warning(
            f"run.json cannot be written: {error.strerror}; "
            f"iddm runs will list {run.name} as killed"
        )
    logger.log(f"{'stopped' if stopped or early else 'finished'} at step {trainer.step}")
    if early:
        logger.log(describe_early_stop(run, trainer))
    _report(run, trainer, end, as_json=as_json)
    return _exit_code(end)


def _exit_code(last: Event | None) -> int:
    return last.exit_code if isinstance(last, Stopped) else 0


def _train(
    trainer: "Trainer", run: Run, logger: RunLogger, deadline: float | None
) -> Stopped | StoppedEarly | None:
    """Return the event by which training stopped, or None where it reached its last step."""
    progress = TrainingProgress(
        step=trainer.step, total=trainer.total_steps, batch_size=trainer.settings.batch_size
    )

    def before_checkpoint() -> None:
        run.lock.check()
        logger.flush()

    with StopRequests(deadline) as requests, progress:
        for event in trainer.fit(requests.poll, before_checkpoint):
            logger.record(event)
            progress.show(event)
            if isinstance(event, Stopped | StoppedEarly):
                return event
    return None


def _add_hint(error: NonFiniteError, trainer: "Trainer", run: Run) -> NonFiniteError:
    """Return the error with a hint that names the last good checkpoint and a lower lr."""
    try:
        checkpoint, _ = trainer.checkpoints.latest_valid()
    except CheckpointError:
        sentence, command = "No checkpoint had been saved yet.", "iddm train ..."
    else:
        sentence = f"The last good checkpoint is {checkpoint.path}."
        command = f"iddm resume {run.name}"
    lr = trainer.state.lr_scale * trainer.settings.lr / 3
    hint = f"{sentence} A lower learning rate often helps: {command} --set training.lr={lr:.1g}"
    return NonFiniteError(error.problem, hint)


def describe_early_stop(run: Run, trainer: "Trainer") -> str:
    """Return where a training stopped early, why, and which checkpoint is the best."""
    metric = trainer.settings.best_metric or HELD_OUT_LOSS
    best = trainer.checkpoints.find_best(metric)
    since = trainer.state.history.best[HELD_OUT_LOSS].step
    text = (
        f"run {run.name} stopped at step {trainer.step}: the held-out loss has not improved since "
        f"step {since}"
    )
    if best is None:
        return f"{text}; no checkpoint with a {metric} was saved"
    by = "" if metric == HELD_OUT_LOSS else f" by {metric}"
    command = f"iddm generate {run.name} --checkpoint best"
    return f"{text}; the best checkpoint{by} is step {best}: {command}"


def _report(
    run: Run, trainer: "Trainer", end: Stopped | StoppedEarly | None, *, as_json: bool
) -> None:
    try:
        save_loss_plot(run)
    except OSError as error:
        console.print_warning(f"loss.png cannot be written: {error.strerror}")
    grid = latest_sample_grid(run)
    if as_json:
        rows = run.read_metrics()
        console.print_json(
            {
                "run": run.name,
                "path": str(run.path),
                "state": "interrupted" if isinstance(end, Stopped) else "finished",
                "stopped_early": isinstance(end, StoppedEarly),
                "step": trainer.step,
                "steps": trainer.total_steps,
                "too_short": is_too_short(trainer.settings, trainer.total_steps),
                "loss": rows[-1]["loss"] if rows else None,
                "held_out_loss": _find_last(rows, HELD_OUT_LOSS),
                "best_step": _find_best_step(trainer),
                "samples": str(grid) if grid else None,
            }
        )
    elif isinstance(end, Stopped):
        reason = "the time is up; " if end.request is Request.TIME_UP else ""
        console.print_note(
            f"{reason}saved step {trainer.step} of {trainer.total_steps}; "
            f"continue with: iddm resume {run.name}"
        )
    elif isinstance(end, StoppedEarly):
        console.print_result(str(grid or run.path))
        console.print_note(describe_early_stop(run, trainer))
    else:
        console.print_result(str(grid or run.path))
        _report_finished(run, trainer)


def _find_last(rows: list[dict[str, float]], name: str) -> float | None:
    """Return the newest value of a metric that not every line has."""
    return next((row[name] for row in reversed(rows) if name in row), None)


def _find_best_step(trainer: "Trainer") -> int | None:
    metric = trainer.settings.best_metric
    return trainer.checkpoints.find_best(metric) if metric else None


def _report_finished(run: Run, trainer: "Trainer") -> None:
    from iddm_cli.data.loader.low_resolution import LowResolutionCondition
    from iddm_cli.diffusion.objectives.reconstruction import Reconstructor

    settings, steps = trainer.settings, trainer.total_steps
    if isinstance(trainer.train_step.denoiser, Reconstructor):
        console.print_note(f"finished {run.name}; its sample grids show what it keeps of images")
        return
    if run.starts_trained() or not is_too_short(settings, steps):
        command = f"generate images with: iddm generate {run.name}"
        if isinstance(trainer.train_step.condition, LowResolutionCondition):
            command = f"upscale images with: iddm upscale {run.name} FOLDER"
        console.print_note(f"finished {run.name}; {command}")
        return
    decays = settings.lr_schedule != "constant"
    stretch = " --set training.lr_extension=stretch" if decays else ""
    text = (
        f"finished {run.name}, but {steps} steps are too few to learn anything, so its images are "
        f"noise; train on with: iddm resume {run.name} --steps {suggest_steps(settings)}{stretch}"
    )
    console.print_note(text) if is_test(settings) else console.print_warning(text)
