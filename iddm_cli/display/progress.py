"""Progress: a live line on a terminal, a plain line every few seconds elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
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

from iddm_cli.display import console
from iddm_cli.engine.events import Event, Logged, Sampled, Saved, Stepped

PLAIN_INTERVAL = 10.0
"""Seconds between lines where stderr is no terminal."""

Count = Callable[[int, int], None]
"""`count(done, total)` is called as work goes on."""


@contextlib.contextmanager
def counting(what: str) -> Iterator[Count]:
    """Show how much of a countable piece of work is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console.err, transient=True) as progress:
        task = progress.add_task(what, total=None, visible=console.err.is_terminal)

        def count(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield count


class FiguresColumn(ProgressColumn):
    """Epoch, loss and speed of the newest logged step."""

    def render(self, task: Task) -> Text:
        """Return the figures as one text."""
        return Text(task.fields.get("figures", ""))


def figures(event: Logged) -> str:
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
        self.shown_at = time.monotonic()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            FiguresColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console.err,
            speed_estimate_period=60,
            disable=not console.err.is_terminal,
        )
        self.task = self.bar.add_task("training", total=total, completed=step, figures="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.bar.stop()

    def show(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Stepped():
                self.bar.update(self.task, completed=event.step)
            case Logged():
                self.bar.update(self.task, figures=figures(event))
                self._plain_line(event)
            case Sampled():
                console.note(f"step {event.step}: drew {event.path}", style="dim")
            case Saved():
                self.bar.update(self.task, saved=event.step)

    def _plain_line(self, event: Logged) -> None:
        now = time.monotonic()
        last = event.step == self.total
        if console.err.is_terminal or (now - self.shown_at < PLAIN_INTERVAL and not last):
            return
        self.shown_at = now
        seconds = (self.total - event.step) * self.batch_size / event.images_per_second
        left = timedelta(seconds=round(seconds))
        console.note(f"step {event.step}/{self.total}  {figures(event)}  {left} left")
