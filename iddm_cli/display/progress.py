"""Progress: a live bar on a terminal, a plain line every few seconds elsewhere."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from iddm_cli.data.progress import ProgressCallback
from iddm_cli.display import console
from iddm_cli.engine.events import Evaluated, Event, Logged, RolledBack, SamplesGenerated, Stepped
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS, TRAINING_LOSS

PLAIN_INTERVAL = 10.0
"""Seconds between plain lines, if stderr is not a terminal."""


@contextlib.contextmanager
def show_progress() -> Iterator[ProgressCallback]:
    """Show a progress bar for each stage of some work; yields the callback that advances it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    plain = not console.err.is_terminal
    throttle = Throttle()
    with Progress(*columns, console=console.err, transient=True, disable=plain) as progress:
        task = progress.add_task("", total=None, visible=False)
        shown = ""

        def update(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage != shown:
                shown = stage
                progress.reset(task, description=stage, visible=True)
            progress.update(task, completed=done, total=total)
            if plain and throttle.due():
                console.print_note(f"{stage}: {done}/{total}")

        yield update


@contextlib.contextmanager
def show_spinner(stage: str) -> Iterator[None]:
    """Show a spinner during work of unknown length; only on a terminal."""
    with console.err.status(f"{stage} ..."):
        yield


class Throttle:
    """Limits plain lines to one per PLAIN_INTERVAL."""

    def __init__(self) -> None:
        self.shown_at = time.monotonic()

    def due(self) -> bool:
        """Return whether the next line is due, and if so restart the interval."""
        now = time.monotonic()
        if now - self.shown_at < PLAIN_INTERVAL:
            return False
        self.shown_at = now
        return True


class MetricsColumn(ProgressColumn):
    """Shows epoch, loss and speed of the last logged step."""

    def render(self, task: Task) -> Text:
        """Return the metrics as one text."""
        return Text(task.fields.get("metrics", ""))


def describe_values(values: Mapping[str, float]) -> str:
    """Return the values of an evaluation as text, without the bands of the losses."""
    return ", ".join(
        f"{name.replace('_', ' ').replace('held out', 'held-out')} {value:.4g}"
        for name, value in values.items()
        if "_band_" not in name
    )


def format_metrics(event: Logged, held_out: float | None = None) -> str:
    """Return epoch, loss, speed and utilization of a logged step in one line.

    Args:
        event: The metrics of the step.
        held_out: The newest held-out loss; None: there is none.
    """
    beside = "" if held_out is None else f"held-out {held_out:.4f}  "
    used = f"  {event.more['mfu']:.0%} of peak" if "mfu" in event.more else ""
    return (
        f"epoch {event.epoch:.1f}  loss {event.loss:.4f}  {beside}"
        f"{event.images_per_second:.{0 if event.images_per_second >= 10 else 1}f} images/s{used}"
    )


class TrainingProgress:
    """Shows the progress of a training: step, epoch, loss, speed and time left.

    Args:
        step: Completed training steps.
        total: Training steps in all.
        batch_size: Images of one training step.
    """

    def __init__(self, *, step: int, total: int, batch_size: int) -> None:
        self.total = total
        self.batch_size = batch_size
        self.throttle = Throttle()
        self.held_out: float | None = None
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            MetricsColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console.err,
            refresh_per_second=4,  # each takes a millisecond from training
            speed_estimate_period=60,
            disable=not console.err.is_terminal,
        )
        self.task = self.bar.add_task("training", total=total, completed=step, metrics="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def show(self, event: Event) -> None:
        """Update the display after an event of the trainer."""
        match event:
            case Stepped() | RolledBack():
                self.bar.update(self.task, completed=event.step)
            case Logged():
                self.held_out = event.more.get(HELD_OUT_LOSS, self.held_out)
                self.bar.update(self.task, metrics=format_metrics(event, self.held_out))
                self._print_plain_line(event)
            case Evaluated():
                _print_evaluation(event)
            case SamplesGenerated():
                console.print_note(f"step {event.step}: saved samples to {event.path}", style="dim")

    def _print_plain_line(self, event: Logged) -> None:
        if console.err.is_terminal or not (self.throttle.due() or event.step == self.total):
            return
        seconds = (self.total - event.step) * self.batch_size / event.images_per_second
        left = timedelta(seconds=round(seconds))
        metrics = format_metrics(event, self.held_out)
        console.print_note(f"step {event.step}/{self.total}  {metrics}  {left} left")


def _print_evaluation(event: Evaluated) -> None:
    """Print the metrics of generated images; the losses are in the progress line."""
    losses = (HELD_OUT_LOSS, TRAINING_LOSS)
    values = {name: v for name, v in event.values.items() if not name.startswith(losses)}
    if values:
        console.print_note(f"step {event.step}: {describe_values(values)}")
