"""The recorder: writes down in a run's files what happens while it is trained.

A disk that is full for a while stops no training: what could not be written is told, and lines of
the log wait for the next time.
"""

import contextlib
import json
import math
from dataclasses import asdict

from iddm_cli import image_files
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.display import console
from iddm_cli.engine.events import (
    Event,
    Logged,
    MicroBatchReduced,
    RolledBack,
    SamplesGenerated,
    Saving,
)
from iddm_cli.runs.run import Run


class RunLogger:
    """Keeps the files of one run up to date; the run must be locked.

    Args:
        run: The run.
        skipped: How many updates were skipped before; those have been told.
    """

    def __init__(self, run: Run, skipped: int) -> None:
        self.run = run
        self._waiting: list[str] = []
        self._before = skipped
        self._tell_from = skipped + 1

    def record(self, event: Event) -> None:
        """Write down an event, and tell the user if it is one to look at.

        Raises:
            RunError: Another process has taken the run over.
        """
        match event:
            case Logged():
                self._tell_skipped(event)
                self._waiting.append(format_metrics_line(event))
                self._write_lines()
            case Saving():
                self.run.lock.check()
                self._flush()
            case Saved():
                self.log(f"step {event.step}: saved {event.path.name}")
            case SamplesGenerated():
                self.log(f"step {event.step}: drew {event.path.name}")
                with contextlib.suppress(OSError):
                    save_loss_plot(self.run)
            case SaveFailed():
                self._warn(f"{event.problem}; training goes on")
            case MicroBatchReduced():
                self._warn(
                    f"step {event.step}: memory ran out, so {event.size} pictures are computed at "
                    f"once from now on; set training.micro_batch={event.size} to begin so"
                )
            case RolledBack():
                self._go_back(event)

    def log(self, text: str) -> None:
        """Add a line to log.txt, if the disk has room."""
        with contextlib.suppress(OSError):
            self.run.log(text)

    def _warn(self, text: str) -> None:
        console.warn(text)
        self.log(text)

    def _tell_skipped(self, event: Logged) -> None:
        if event.skipped >= self._tell_from:
            # Again when they are twice as many: a long streak is not told at every line.
            self._tell_from = 2 * event.skipped - self._before
            self._warn(
                f"step {event.step}: {event.skipped} updates were skipped so far, since the loss "
                "or the gradient was not a finite number"
            )

    def _write_lines(self) -> None:
        try:
            while self._waiting:
                self.run.metrics.append(self._waiting[0])
                del self._waiting[0]
        except OSError as error:
            if len(self._waiting) == 1:
                console.warn(f"metrics.jsonl cannot be written: {error.strerror}")

    def _flush(self) -> None:
        """Let no checkpoint be on the disk before the lines of its steps are."""
        with contextlib.suppress(OSError):
            self.run.metrics.flush()

    def _go_back(self, event: RolledBack) -> None:
        self._waiting.clear()
        with contextlib.suppress(OSError):
            self.run.cut_metrics(event.step)
        self._warn(
            f"step {event.failed}: too many updates in a row were not finite; going on from step "
            f"{event.step} with a learning rate of {event.lr:.1e}"
        )


def format_metrics_line(event: Logged) -> str:
    """Return a line of metrics.jsonl; JSON has no nan, so that becomes null."""
    row = asdict(event)
    return json.dumps({k: v if math.isfinite(v) else None for k, v in row.items()})


def save_loss_plot(run: Run) -> None:
    """Draw loss.png from metrics.jsonl."""
    points = [(row["step"], row["loss"]) for row in run.rows() if row.get("loss") is not None]
    image_files.save_png(image_files.plot(points, title="loss"), run.path / "loss.png")
