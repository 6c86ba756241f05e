"""The run logger: writes what happens in a training into the files of its run.

A full disk never aborts training: failed writes are reported and retried, and lines of
metrics.jsonl wait for the next attempt.
"""

import contextlib
import json
import math
from dataclasses import asdict
from pathlib import Path

from iddm_cli import image_files
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.display import console
from iddm_cli.display.progress import describe_values
from iddm_cli.engine.events import (
    Evaluated,
    Event,
    Logged,
    LossGap,
    MicroBatchReduced,
    RolledBack,
    SamplesGenerated,
)
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS, TRAINING_LOSS
from iddm_cli.runs.run import Run

PLOT_LEGEND = {
    HELD_OUT_LOSS: "held-out images, fixed noise",
    TRAINING_LOSS: "training images, same noise",
}
"""What loss.png calls its curves beside that of the training steps."""


class RunLogger:
    """Keeps the files of one run up to date; the caller holds the run's lock.

    Args:
        run: The run.
        skipped: How many updates were skipped before; those have been reported.
        best_metric: The metric whose best checkpoint is kept; None: none is.
    """

    def __init__(self, run: Run, skipped: int, *, best_metric: str | None = None) -> None:
        self.run = run
        self.best_metric = best_metric
        self._unwritten_lines: list[str] = []
        self._skipped_before = skipped
        self._next_report = skipped + 1

    def record(self, event: Event) -> None:
        """Write an event into the run's files, and warn the user where it matters."""
        match event:
            case Logged():
                self._report_skipped(event)
                self._unwritten_lines.append(format_metrics_line(event))
                self._write_lines()
            case Saved():
                self.log(f"step {event.step}: saved {event.path.name}")
            case SamplesGenerated():
                self.log(f"step {event.step}: generated {event.path.name}")
                with contextlib.suppress(OSError):
                    save_loss_plot(self.run)
            case Evaluated():
                self.log(f"step {event.step}: {describe_values(event.values)}")
            case LossGap():
                self._warn(f"step {event.step}: {describe_gap(event, self.run, self.best_metric)}")
            case SaveFailed():
                self._warn(f"{event.problem}; training continues")
            case MicroBatchReduced():
                self._warn(
                    f"step {event.step}: memory ran out, so iddm computes {event.size} images at "
                    f"once from now on; to start with that, set training.micro_batch={event.size}"
                )
            case RolledBack():
                self._record_rollback(event)

    def log(self, text: str) -> None:
        """Append a line to log.txt, if the disk has room."""
        with contextlib.suppress(OSError):
            self.run.log(text)

    def flush(self) -> None:
        """Flush metrics.jsonl to the disk, so that it is never behind a checkpoint."""
        with contextlib.suppress(OSError):
            self.run.metrics.flush()

    def _warn(self, text: str) -> None:
        console.print_warning(text)
        self.log(text)

    def _report_skipped(self, event: Logged) -> None:
        if event.skipped >= self._next_report:
            # Next when their number has doubled: a long streak is not reported at every line.
            self._next_report = 2 * event.skipped - self._skipped_before
            self._warn(
                f"step {event.step}: {event.skipped} updates were skipped so far, since the loss "
                "or the gradient was not a finite number"
            )

    def _write_lines(self) -> None:
        try:
            while self._unwritten_lines:
                self.run.metrics.append(self._unwritten_lines[0])
                del self._unwritten_lines[0]
        except OSError as error:
            if len(self._unwritten_lines) == 1:
                console.print_warning(f"metrics.jsonl cannot be written: {error.strerror}")

    def _record_rollback(self, event: RolledBack) -> None:
        self._unwritten_lines.clear()
        with contextlib.suppress(OSError):
            self.run.truncate_metrics(event.step)
        self._warn(
            f"step {event.failed}: too many updates in a row were not finite; iddm continues from "
            f"step {event.step} with a learning rate of {event.lr:.1e}"
        )


def format_metrics_line(event: Logged) -> str:
    """Return a line of metrics.jsonl; JSON has no nan, so that becomes null."""
    row = asdict(event)
    row |= row.pop("more")
    return json.dumps({k: v if math.isfinite(v) else None for k, v in row.items()})


def describe_gap(gap: LossGap, run: Run, best_metric: str | None) -> str:
    """Return what a gap between held-out and training loss means, and what to do about it.

    Args:
        gap: The gap.
        run: The run.
        best_metric: The metric whose best checkpoint is kept; None: none is.
    """
    held_out, training = (
        f"{before:.4g} → {now:.4g}" for before, now in (gap.held_out, gap.training)
    )
    if best_metric == HELD_OUT_LOSS:
        advice = (
            f"the best checkpoint is step {gap.since}: iddm generate {run.name} --checkpoint best"
        )
    else:
        advice = (
            "training.keep_best=held_out_loss keeps the best checkpoint, and "
            "training.stop_when=held_out_worse stops by itself"
        )
    return (
        f"the held-out loss has risen since step {gap.since} ({held_out}) while the training loss "
        f"fell ({training}): the model begins to memorize its training images; {advice}. More "
        "images or augmentation (data.augment) postpone it"
    )


def save_loss_plot(run: Run) -> None:
    """Plot the losses of metrics.jsonl in loss.png."""
    rows = run.read_metrics()
    curves = {name: _select_points(rows, name) for name in ("loss", HELD_OUT_LOSS, TRAINING_LOSS)}
    points = curves.pop("loss")
    named = {PLOT_LEGEND[name]: points for name, points in curves.items() if points}
    plot = image_files.plot_curve(points, title="loss", others=named)
    image_files.save_png(plot, run.path / "loss.png")


def _select_points(rows: list[dict[str, float]], name: str) -> list[tuple[float, float]]:
    return [(row["step"], row[name]) for row in rows if row.get(name) is not None]


def latest_sample_grid(run: Run) -> Path | None:
    """Return the newest sample grid, or None."""
    return max(run.samples_dir.glob("step-*.png"), default=None)
