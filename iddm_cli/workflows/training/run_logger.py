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
from iddm_cli.engine.events import (
    Event,
    Logged,
    MicroBatchReduced,
    RolledBack,
    SamplesGenerated,
)
from iddm_cli.runs.run import Run


class RunLogger:
    """Keeps the files of one run up to date; the caller holds the run's lock.

    Args:
        run: The run.
        skipped: How many updates were skipped before; those have been reported.
    """

    def __init__(self, run: Run, skipped: int) -> None:
        self.run = run
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


def save_loss_plot(run: Run) -> None:
    """Plot the losses of metrics.jsonl in loss.png."""
    points = [
        (row["step"], row["loss"]) for row in run.read_metrics() if row.get("loss") is not None
    ]
    image_files.save_png(image_files.plot_curve(points, title="loss"), run.path / "loss.png")


def latest_sample_grid(run: Run) -> Path | None:
    """Return the newest sample grid, or None."""
    return max(run.samples_dir.glob("step-*.png"), default=None)
