"""Progress: a live line on a terminal, a plain line every few seconds elsewhere."""

import contextlib
import time
from collections.abc import Iterator
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
from iddm_cli.engine.events import Event, Logged, RolledBack, SamplesGenerated, Stepped

PLAIN_INTERVAL = 10.0
"""Seconds between lines where stderr is no terminal."""


@contextlib.contextmanager
def show_progress() -> Iterator[ProgressCallback]:
    """Show how much of a countable piece of work is done, one piece after the other."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    plain = not console.err.is_terminal
    line = Throttle()
    with Progress(*columns, console=console.err, transient=True, disable=plain) as progress:
        task = progress.add_task("", total=None, visible=False)
        shown = ""

        def count(what: str, done: int, total: int) -> None:
            nonlocal shown
            if what != shown:
                shown = what
                progress.reset(task, description=what, visible=True)
            progress.update(task, completed=done, total=total)
            if plain and line.due():
                console.print_note(f"{what}: {done}/{total}")

        yield count


@contextlib.contextmanager
def show_spinner(what: str) -> Iterator[None]:
    """Show that a piece of work goes on whose end nobody can tell; only on a terminal."""
    with console.err.status(f"{what} ..."):
        yield


class Throttle:
    """Says when the next plain line is due."""

    def __init__(self) -> None:
        self.shown_at = time.monotonic()

    def due(self) -> bool:
        """Say whether enough time has passed since a line was last due."""
        now = time.monotonic()
        if now - self.shown_at < PLAIN_INTERVAL:
            return False
        self.shown_at = now
        return True


class MetricsColumn(ProgressColumn):
    """Epoch, loss and speed of the newest logged step."""

    def render(self, task: Task) -> Text:
        """Return the figures as one text."""
        return Text(task.fields.get("figures", ""))


def format_metrics(event: Logged) -> str:
    """Put the figures of a logged step in words."""
    return (
        f"epoch {event.epoch:.1f}  loss {event.loss:.4f}  "
        f"{event.images_per_second:.{0 if event.images_per_second >= 10 else 1}f} images/s"
    )


class TrainingProgress:
    """Follows a training: step, epoch, loss, speed and time left.

    Args:
        step: Updates done so far.
        total: Updates in all.
        batch_size: Pictures in one update.
    """

    def __init__(self, *, step: int, total: int, batch_size: int) -> None:
        self.total = total
        self.batch_size = batch_size
        self.line = Throttle()
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
            speed_estimate_period=60,
            disable=not console.err.is_terminal,
        )
        self.task = self.bar.add_task("training", total=total, completed=step, format_metrics="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def show(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Stepped() | RolledBack():
                self.bar.update(self.task, completed=event.step)
            case Logged():
                self.bar.update(self.task, format_metrics=format_metrics(event))
                self._plain_line(event)
            case SamplesGenerated():
                console.print_note(f"step {event.step}: drew {event.path}", style="dim")

    def _plain_line(self, event: Logged) -> None:
        if console.err.is_terminal or not (self.line.due() or event.step == self.total):
            return
        seconds = (self.total - event.step) * self.batch_size / event.images_per_second
        left = timedelta(seconds=round(seconds))
        console.print_note(f"step {event.step}/{self.total}  {format_metrics(event)}  {left} left")
