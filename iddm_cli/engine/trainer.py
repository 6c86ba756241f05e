"""The trainer: one step after another, each a pure function of (settings, step, weights)."""

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from iddm_cli.checkpoints.checkpoint import Checkpoint
from iddm_cli.checkpoints.events import Saved, Unsaved
from iddm_cli.checkpoints.folder import CheckpointFolder
from iddm_cli.checkpoints.writer import Saver
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import ALONE, Team
from iddm_cli.engine.events import (
    SAVE,
    Event,
    Logged,
    Sampled,
    Saving,
    Shrunk,
    Stepped,
    Stopped,
    WentBack,
)
from iddm_cli.engine.metrics import Meter
from iddm_cli.engine.nonfinite import Skipped
from iddm_cli.engine.train_step import Learner
from iddm_cli.errors import NonFiniteError
from iddm_cli.profiles.settings import TrainingSettings

DrawSamples = Callable[[Denoiser, int], Path | None]
"""`draw_samples(average, step)` draws the sample grid; the leader of a team gets its file."""

SLOWER = 1 / 3
"""Share of the learning rate that is left after going back."""


class Trainer(Learner):
    """Takes a denoiser through its whole course: updates, checkpoints, sample grids.

    Args:
        denoiser: The denoiser, on the device it is trained on.
        batches: The pictures of each step.
        settings: The profile's training section.
        checkpoints: Where checkpoints go.
        draw_samples: Draws the sample grid; None draws none.
        times: How diffusion times are drawn, stratified or uniform.
        precision: fp32, bf16 or fp16.
        num_classes: Number of classes; the label that means "no label".
        bits: What decides the last bits besides the size of micro-batches.
        team: The processes that train together.

    Attributes:
        step: Updates done.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        batches: BatchLoader,
        settings: TrainingSettings,
        *,
        checkpoints: CheckpointFolder,
        draw_samples: DrawSamples | None = None,
        times: str,
        precision: str,
        num_classes: int,
        bits: dict[str, object],
        team: Team = ALONE,
    ) -> None:
        super().__init__(
            denoiser,
            batches,
            settings,
            times=times,
            precision=precision,
            num_classes=num_classes,
            bits=bits,
            team=team,
        )
        self.checkpoints = checkpoints
        self.draw_samples = draw_samples
        self.saver = Saver(checkpoints)
        self.step = 0
        self.trained_seconds = 0.0
        self.meter = Meter.on(self.device)

    def fit(self, asked: Callable[[], int] = lambda: 0) -> Iterator[Event]:
        """Train up to the last step, or until asked to stop; yield what happens.

        Args:
            asked: Returns what is asked of this process: 0, SAVE, TIME_UP, or 128 and a signal.
                The whole team does it after the same step, whichever process was asked.

        Raises:
            NonFiniteError: Losses or gradients stay numbers that are not finite.
            CheckpointError: The last checkpoint could not be saved.
            IddmError: Not even one picture at once fits the memory.
        """
        try:
            if self.step == self.total:
                # Killed between its last checkpoint and its last grid.
                yield from self._sample()
            elif self._memory_is_unsure():
                self.rehearse(self.step)
            while self.step < self.total:
                size = self.micro.size
                self.meter.add(*self.update(self.step))
                self.step += 1
                yield Stepped(self.step)
                if self.micro.size < size:
                    yield Shrunk(self.step, self.micro.size)
                yield from self.saver.done()
                request = self.team.largest(int(asked()))
                stopping = request > SAVE and self.step < self.total
                yield from self._after_step(stopping, save=request == SAVE)
                if stopping:
                    yield Stopped(self.step, request)
                    return
        finally:
            self.saver.close()

    def _memory_is_unsure(self) -> bool:
        """Say whether to try out how much fits: where nobody else would, and all can stop at it."""
        wanted = self.micro.asked == "auto" or self.team.size > 1
        return self.device.type == "cuda" and wanted and not self.team.divided

    def _after_step(self, stopping: bool, *, save: bool) -> Iterator[Event]:
        """Log, save and sample where this step is due for it, in that order."""
        settings, step = self.settings, self.step
        last = step == self.total
        save |= last or stopping
        save |= step % settings.checkpoint_every == 0 and step >= settings.checkpoint_from
        sample = last or (settings.sample_every > 0 and step % settings.sample_every == 0)
        if save or step % settings.log_every == 0:
            yield self._read_meter()
            skipped = self.guard.read()
            if skipped.streak >= settings.max_skipped:
                yield self._go_back(skipped)
                return
        if save:
            yield from self._save(final=last or stopping)
        if sample and not stopping:
            yield from self._sample()
        if self.meter.steps == 0:
            self.meter.started = time.perf_counter()

    def _sample(self) -> Iterator[Event]:
        if self.draw_samples is None:
            return
        try:
            path = self.draw_samples(self.average.module, self.step)
        except OSError as error:
            problem = error.strerror or str(error)
            yield Unsaved(self.step, f"the grid of step {self.step} could not be saved: {problem}")
        else:
            if path is not None:
                yield Sampled(self.step, path)

    def _read_meter(self) -> Logged:
        meter, self.meter = self.meter, Meter.on(self.device)
        loss, sound = float(self.team.sum(meter.loss)), int(meter.sound)
        # Reading the loss has waited for the device, so the clock now covers every step.
        seconds = time.perf_counter() - meter.started
        self.trained_seconds += seconds
        images = meter.steps * self.settings.batch_size
        self.state.add_loss(loss, sound)
        return Logged(
            step=self.step,
            epoch=self.step * self.settings.batch_size / len(self.batches),
            loss=loss / sound if sound else math.nan,
            lr=self.optimizer.param_groups[0]["lr"],
            grad_norm=float(meter.grad_norm),
            images_per_second=images / seconds,
            seconds=self.trained_seconds,
            skipped=self.guard.read().total,
        )

    def _save(self, *, final: bool) -> Iterator[Event]:
        yield Saving(self.step)
        yield from self.save()
        if final:
            told = self.saver.wait()
            if self.saver.problem is not None:
                raise self.saver.problem
            yield from told

    def save(self) -> list[Saved | Unsaved]:
        """Let the leader begin to write a checkpoint of this moment.

        Returns:
            To the leader, what became of the one before.
        """
        parts = self.state.snapshot()
        metrics = self.state.take_metrics()
        if parts is None:
            return []
        course = {**self.guard.state(), "rate": self.rate, "micro_batch": self.micro.state()}
        saved: dict[str, object] = {"bits": self.bits, "scaler": self.scaler.state_dict()}
        return self.saver.begin(self.step, parts, {**saved, "course": course, "metrics": metrics})

    def load(self, saved: Checkpoint | None) -> None:
        """Go on from a checkpoint that the team's leader has found; the others pass None.

        Raises:
            CheckpointError: It is damaged, or does not fit this network.
        """
        self.state.load(saved)
        self.step = self.team.tell(saved.step if saved else 0)
        course = self.team.tell(saved.course if saved else {})
        self.guard.load(course)
        self.rate = float(course.get("rate", 1.0))
        self.micro.load(dict(course.get("micro_batch", {})))

    def _go_back(self, skipped: Skipped) -> WentBack:
        """Return to the last good checkpoint, once, and learn more slowly from there.

        Raises:
            NonFiniteError: That was done before, or there is none.
        """
        failed = self.step
        self.saver.wait()
        good = self._last_good() if self.team.leads and self.rate == 1 else None
        if not self.team.tell(good is not None):
            raise NonFiniteError(self.diagnose(skipped))
        self.load(good)
        if good is not None:
            self.checkpoints.remove_after(good.step)
        self.guard.load({"skipped": skipped.total})
        self.rate = SLOWER
        return WentBack(self.step, failed, self.rate * self.settings.lr)

    def _last_good(self) -> Checkpoint | None:
        """Return the newest checkpoint from before the trouble began."""
        return next((saved for saved in self.checkpoints.sound() if not saved.streak), None)
