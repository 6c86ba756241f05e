"""The trainer: takes a denoiser through all its steps, with checkpoints and sample grids."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from iddm_cli.checkpoints.checkpoint import Checkpoint
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.checkpoints.snapshots import SnapshotFolder
from iddm_cli.checkpoints.writer import AsyncCheckpointWriter
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.acceleration.flops import Utilization
from iddm_cli.engine.events import (
    Evaluated,
    Event,
    Logged,
    MicroBatchReduced,
    Request,
    RolledBack,
    SamplesGenerated,
    Stepped,
    Stopped,
    StoppedEarly,
)
from iddm_cli.engine.monitoring.evaluations import Evaluate, Evaluations, select_best_metrics
from iddm_cli.engine.monitoring.held_out_loss import HeldOutLoss
from iddm_cli.engine.monitoring.metrics import MetricAccumulator
from iddm_cli.engine.monitoring.nonfinite import SkippedUpdates
from iddm_cli.engine.monitoring.update_diagnosis import diagnose_update
from iddm_cli.engine.train_step import TrainStep
from iddm_cli.errors import NonFiniteError
from iddm_cli.profiles.evaluation_metrics import HELD_OUT_LOSS
from iddm_cli.profiles.evaluation_settings import EvaluationSettings

GenerateSamples = Callable[[Denoiser, int], Path | None]
"""`generate_samples(ema, step)` writes the sample grid; the main process gets its path."""

ROLLBACK_LR_SCALE = 1 / 3
"""Factor on the learning rate after a rollback."""


class Trainer:
    """Trains a denoiser: updates, checkpoints, sample grids, and one rollback where numbers break.

    Args:
        train_step: Makes one update.
        checkpoints: Where checkpoints go.
        generate_samples: Writes the sample grid; None: no sample grids.
        recipe: The settings that decide the weights, by their keys; checkpoints record them.
        evaluation: The profile's evaluation section; None: its defaults.
        held_out_loss: Computes the held-out loss; None where there are no held-out images.
        evaluate: Evaluates generated images; None: nothing does.
        utilization: Measures how much of the device training uses; None: nothing does.
        snapshots: Where snapshots of the EMA go; None: there are none.

    Attributes:
        state: Everything that an update changes, and a checkpoint saves.
        writer: Writes checkpoints while training continues.
        evaluations: When the training is evaluated, and how.
        values: What the evaluation after this step found; empty where none was due.
    """

    def __init__(
        self,
        train_step: TrainStep,
        *,
        checkpoints: CheckpointFolder,
        generate_samples: GenerateSamples | None = None,
        recipe: Mapping[str, object] | None = None,
        evaluation: EvaluationSettings | None = None,
        held_out_loss: HeldOutLoss | None = None,
        evaluate: Evaluate | None = None,
        utilization: Utilization | None = None,
        snapshots: SnapshotFolder | None = None,
    ) -> None:
        self.train_step = train_step
        self.state = train_step.state
        self.settings = train_step.settings
        self.group = train_step.group
        self.checkpoints = checkpoints
        self.generate_samples = generate_samples
        self.utilization = utilization
        self.snapshots = snapshots
        self.recipe = {**(recipe or {}), "training.steps": train_step.total_steps}
        self.writer = AsyncCheckpointWriter(checkpoints)
        self.trained_seconds = 0.0
        self.metrics = MetricAccumulator.on(train_step.device)
        self.evaluations = Evaluations(
            evaluation,
            held_out_loss=held_out_loss,
            evaluate=evaluate,
            total_steps=train_step.total_steps,
            batch_size=train_step.settings.batch_size,
            group=train_step.group,
        )
        self.evaluations.follow(self.state.history)
        self.values: dict[str, float] = {}

    @property
    def step(self) -> int:
        """Number of updates made."""
        return self.state.step

    @property
    def total_steps(self) -> int:
        """Number of updates of the whole training."""
        return self.train_step.total_steps

    def fit(
        self,
        poll_request: Callable[[], Request] = lambda: Request.NONE,
        before_checkpoint: Callable[[], None] = lambda: None,
    ) -> Iterator[Event]:
        """Train up to the last step, or until a stop is requested; yield what happens.

        Args:
            poll_request: Returns what is requested of this process. All processes act on it
                after the same step, whichever of them received it.
            before_checkpoint: Called before a checkpoint is begun; what it raises ends training
                without that checkpoint.

        Raises:
            NonFiniteError: Losses or gradients stay non-finite.
            CheckpointError: The last checkpoint could not be saved.
            IddmError: Not even one image at a time fits the memory.
        """
        state = self.state
        self._drop_later_snapshots()
        try:
            if self.step == self.total_steps or self.is_worse:
                # The process was killed between its last checkpoint and its last grid.
                yield from self._generate_samples()
            elif self._must_probe_memory():
                self.train_step.probe_memory(self.step)
            while self.step < self.total_steps and not self.is_worse:
                size = state.micro_batch.size
                self.metrics.add(self.train_step.update(self.step))
                state.step += 1
                yield Stepped(self.step)
                if state.micro_batch.size < size:
                    yield MicroBatchReduced(self.step, state.micro_batch.size)
                yield from self.writer.poll()
                request = Request(self.group.all_reduce_max(poll_request()))
                stopping = request.is_stop and self.step < self.total_steps
                saving = request is Request.SAVE
                yield from self._after_step(before_checkpoint, stopping=stopping, saving=saving)
                if stopping and not self.is_worse:
                    yield Stopped(self.step, request)
                    return
            if self.is_worse:
                yield StoppedEarly(self.step, state.history.best[HELD_OUT_LOSS].step)
        finally:
            self.writer.close()

    def _must_probe_memory(self) -> bool:
        """Return whether to find out how much fits: on GPUs, where all can stop at it together."""
        wanted = self.state.micro_batch.requested == "auto" or self.group.world_size > 1
        return self.train_step.device.type == "cuda" and wanted and not self.group.is_sharded

    def _after_step(
        self, before_checkpoint: Callable[[], None], *, stopping: bool, saving: bool
    ) -> Iterator[Event]:
        """Log, save and sample where this step is due for it, in that order."""
        settings, step = self.settings, self.step
        last = step == self.total_steps
        save = saving or last or stopping
        save |= step % settings.checkpoint_every == 0 and step >= settings.checkpoint_from
        sample = last or (settings.sample_every > 0 and step % settings.sample_every == 0)
        self.values = {}
        if save or self.evaluations.is_due(step) or step % settings.log_every == 0:
            logged = self._collect_metrics()
            skipped = self.state.guard.read()
            if skipped.streak >= settings.max_skipped:
                yield logged
                yield self._roll_back(skipped)
                return
            save |= self._evaluate(stopping=stopping)
            yield replace(logged, more={**logged.more, **self.values})
            yield from self._report_evaluation()
        yield from self._take_snapshot()
        last |= self.is_worse
        if save or last:
            before_checkpoint()
            yield from self._save(final=last or stopping)
        if (sample and not stopping) or last:
            yield from self._generate_samples()
        if self.metrics.steps == 0:
            self.metrics.started = time.perf_counter()

    def _take_snapshot(self) -> Iterator[Event]:
        """Write a snapshot of the EMA, in the main process, where this step is due for it."""
        if self.snapshots is None or not self.snapshots.is_due(self.step):
            return
        parts = self.state.snapshot(("average",))
        if parts is None:
            return
        try:
            self.snapshots.write(self.step, parts["average"], self.settings.ema_decay)
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"the snapshot of step {self.step} could not be saved: {reason}"
            yield SaveFailed(self.step, problem)

    def _drop_later_snapshots(self) -> None:
        """Delete snapshots of steps that will be made again, perhaps with other settings."""
        if self.snapshots is not None and self.group.is_main:
            self.snapshots.remove_after(self.step)

    def _evaluate(self, *, stopping: bool) -> bool:
        """Evaluate what is due; return whether the weights are the best so far, and are kept."""
        size = self.state.micro_batch.size
        ema = self.state.ema.module
        self.values = self.evaluations.run(ema, self.step, batch_size=size, stopping=stopping)
        return self.settings.best_metric in self.state.history.add(self.step, self.values)

    def _report_evaluation(self) -> Iterator[Event]:
        if self.values:
            yield Evaluated(self.step, self.values)
        if gap := self.state.history.find_gap(self.step, self.values):
            yield gap

    @property
    def is_worse(self) -> bool:
        """Whether training ends before its last step: the held-out loss stopped improving."""
        wanted = self.settings.stop_when == "held_out_worse" and self.step < self.total_steps
        return wanted and self.state.history.not_improved >= self.evaluations.settings.patience

    def _generate_samples(self) -> Iterator[Event]:
        if self.generate_samples is None:
            return
        try:
            path = self.generate_samples(self.state.ema.module, self.step)
        except OSError as error:
            reason = error.strerror or str(error)
            yield SaveFailed(
                self.step, f"the sample grid of step {self.step} could not be saved: {reason}"
            )
        else:
            if path is not None:
                yield SamplesGenerated(self.step, path)

    def _collect_metrics(self) -> Logged:
        metrics, self.metrics = self.metrics, MetricAccumulator.on(self.train_step.device)
        values, loss_sum, finite = metrics.read(self.group)
        # Reading them waited for the device, so the clock now covers every step.
        seconds = time.perf_counter() - metrics.started
        self.trained_seconds += seconds
        speed = metrics.steps * self.settings.batch_size / seconds
        self.state.add_loss(loss_sum, finite)
        used = self.utilization.measure(speed) if self.utilization and self.group.is_main else {}
        return Logged(
            step=self.step,
            epoch=self.step * self.settings.batch_size / len(self.train_step.batches),
            loss=values.pop("loss"),
            lr=self.state.optimizer.param_groups[0]["lr"],
            grad_norm=values.pop("grad_norm"),
            images_per_second=speed,
            seconds=self.trained_seconds,
            skipped=self.state.guard.read().total,
            more=values | used,
        )

    def _save(self, *, final: bool) -> Iterator[Event]:
        yield from self.save()
        if final:
            events = self.writer.wait()
            if self.writer.problem is not None:
                raise self.writer.problem
            yield from events

    def save(self) -> list[Saved | SaveFailed]:
        """Begin to write a checkpoint of this moment, in the main process.

        Collective: every process must call it.

        Returns:
            In the main process, the outcome of the checkpoint before this one.
        """
        tensors = self.state.snapshot()
        metrics = self.state.pop_metrics() | select_best_metrics(self.values)
        if tensors is None:
            return []
        record: dict[str, object] = {"bits": self.train_step.numerics}
        record |= {**self.state.state_dict(), "metrics": metrics, "settings": self.recipe}
        return self.writer.begin(self.step, tensors, record)

    def load(self, checkpoint: Checkpoint | None) -> None:
        """Continue from a checkpoint. Collective: every process must call it.

        Args:
            checkpoint: The checkpoint, in the main process; None elsewhere.

        Raises:
            CheckpointError: It is damaged, or does not fit this network.
        """
        self.state.load(checkpoint)
        self.evaluations.follow(self.state.history)

    def close(self) -> None:
        """Release the pixels of all images."""
        self.train_step.batches.store.close()
        self.evaluations.close()

    def _roll_back(self, skipped: SkippedUpdates) -> RolledBack:
        """Return to the last good checkpoint, once, with a reduced learning rate.

        Raises:
            NonFiniteError: Training rolled back before, or there is no good checkpoint.
        """
        failed = self.step
        self.writer.wait()
        can_roll_back = self.group.is_main and self.state.lr_scale == 1
        good = self._latest_good() if can_roll_back else None
        if not self.group.broadcast(good is not None):
            raise NonFiniteError(diagnose_update(self.train_step, skipped))
        self.load(good)
        if good is not None:
            self.checkpoints.remove_after(good.step)
            self._drop_later_snapshots()
        self.state.guard.load_state_dict({"skipped": skipped.total})
        self.state.lr_scale = ROLLBACK_LR_SCALE
        return RolledBack(self.step, failed, self.state.lr_scale * self.settings.lr)

    def _latest_good(self) -> Checkpoint | None:
        """Return the newest checkpoint from before the first update of the streak."""
        valid = self.checkpoints.iter_valid()
        return next((checkpoint for checkpoint in valid if not checkpoint.skipped_streak), None)
