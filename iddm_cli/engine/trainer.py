"""The trainer: one step after another, each a pure function of (settings, step, weights)."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.data.batches import Batches
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import checkpoint, randomness
from iddm_cli.engine.checkpoint import Checkpoint, CheckpointFolder, Tensors
from iddm_cli.engine.device import autocast
from iddm_cli.engine.ema import Average
from iddm_cli.engine.events import Event, Logged, Sampled, Saved, Stepped, Stopped
from iddm_cli.engine.meter import Meter
from iddm_cli.engine.optimizers import lr_at, make_optimizer
from iddm_cli.engine.team import ALONE, Team
from iddm_cli.errors import NonFiniteError
from iddm_cli.settings import TrainingSettings

DrawSamples = Callable[[Denoiser, int], Path | None]
"""`draw_samples(average, step)` draws the sample grid; the leader of a team gets its file."""


def total_steps(settings: TrainingSettings, pictures: int) -> int:
    """Return how many updates a run makes in all."""
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None, "a profile has steps or epochs"
    return math.ceil(settings.epochs * pictures / settings.batch_size)


class Trainer:
    """Trains a denoiser and keeps its average, checkpoints and sample grids.

    Args:
        denoiser: The denoiser, on the device it is trained on.
        batches: The pictures of each step.
        settings: The profile's training section.
        times: How diffusion times are drawn, stratified or uniform.
        precision: fp32, bf16 or fp16.
        num_classes: Number of classes; the label that means "no label".
        checkpoints: Where checkpoints go.
        bits: What decides the last bits, saved with each checkpoint.
        team: The processes that train together.
        draw_samples: Draws the sample grid; None draws none.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        batches: Batches,
        settings: TrainingSettings,
        *,
        times: str,
        precision: str,
        num_classes: int,
        checkpoints: CheckpointFolder,
        bits: dict[str, object],
        team: Team = ALONE,
        draw_samples: DrawSamples | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.batches = batches
        self.settings = settings
        self.times = times
        self.precision = precision
        self.num_classes = num_classes
        self.checkpoints = checkpoints
        self.bits = bits
        self.team = team
        self.draw_samples = draw_samples

        self.device = denoiser.schedule.alpha.device
        self.slots = team.slots(settings.batch_size)
        steady = len(self.slots) <= (settings.micro_batch or settings.batch_size)
        self.average = Average(denoiser, settings.ema_decay)
        team.divide(self.average.module.backbone)
        self.learner = denoiser.around(team.wrap(denoiser.backbone, steady=steady))
        self.optimizer = make_optimizer(denoiser, settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.total = total_steps(settings, len(batches))
        self.step = 0
        self.trained_seconds = 0.0
        self.meter = Meter.on(self.device)

    def fit(self, should_stop: Callable[[], int] = lambda: 0) -> Iterator[Event]:
        """Train up to the last step, or until `should_stop` says so; yield what happens.

        Args:
            should_stop: Returns the signal that asks for a stop, or 0; the whole team stops after
                the same step, whichever process was asked.

        Raises:
            NonFiniteError: The loss or the gradient is not a finite number any more.
            CheckpointError: A checkpoint could not be saved.
        """
        if self.step == self.total:
            # Killed between its last checkpoint and its last grid.
            yield from self._sample()
        while self.step < self.total:
            self.meter.add(*self.update(self.step))
            self.step += 1
            yield Stepped(self.step)
            asked = self.team.largest(int(should_stop()))
            stopping = asked > 0 and self.step < self.total
            yield from self._after_step(stopping)
            if stopping:
                yield Stopped(self.step, asked)
                return

    def update(self, step: int) -> tuple[Tensor, Tensor]:
        """Make update number `step`; return its loss and gradient norm, both scalars."""
        self.denoiser.train()
        purpose = "dropout" if self.team.leads else f"dropout/{self.team.rank}"
        randomness.seed_library(self.settings.seed, purpose, step=step)
        loss = self._accumulate(step)
        self.scaler.unscale_(self.optimizer)
        parameters = list(self.denoiser.parameters())
        limit = self.settings.gradient_clip or math.inf
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        for group in self.optimizer.param_groups:
            group["lr"] = lr_at(self.settings, step, self.total)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.denoiser, step + 1)
        return loss, self.team.whole(grad_norm.detach())

    def _accumulate(self, step: int) -> Tensor:
        """Add up the gradients of the whole batch; return this process's part of its mean loss."""
        size = self.settings.batch_size
        total = torch.zeros((), device=self.device)
        *others, last = self.slots.split(self.settings.micro_batch or size)
        with self.team.unsynchronised(self.learner.backbone) if others else nullcontext():
            for some in others:
                total += self._backward(step, some)
        return total + self._backward(step, last)

    def _backward(self, step: int, slots: Tensor) -> Tensor:
        """Add the gradients of some slots; return their share of the batch's mean loss."""
        loss = self.losses(step, slots).sum() / self.settings.batch_size
        # The team takes the mean of its gradients, where their sum is wanted.
        self.scaler.scale(loss * self.team.size).backward()
        return loss.detach()

    def losses(self, step: int, slots: Tensor) -> Tensor:
        """Return the loss of each of these slots of the batch, [B]."""
        x, label = self.batches.at(step, slots)
        x, label, slots = (tensor.to(self.device) for tensor in (x, label, slots))
        noise = self._normal("noise", slots, step, tuple(x.shape[1:]))
        dropped = self._uniform("label-drop", slots, step) < self.settings.label_drop
        label = torch.where(dropped, self.num_classes, label)
        with autocast(self.device, self.precision):
            return self.learner.loss(x, self.draw_times(step, slots), noise, label)

    def draw_times(self, step: int, slots: Tensor) -> Tensor:
        """Return the diffusion time of each slot, [B], int64.

        Stratified: slot s draws from the s-th of batch_size equal parts of [0, 1), which lowers
        the variance of the loss (Kingma et al. 2021, arXiv:2107.00630, appendix I.1).
        """
        fraction = self._uniform("time", slots, step)
        if self.times == "stratified":
            fraction = (slots + fraction) / self.settings.batch_size
        timesteps = len(self.denoiser.schedule)
        return (fraction * timesteps).long().clamp(max=timesteps - 1)

    def _uniform(self, purpose: str, slots: Tensor, step: int) -> Tensor:
        return randomness.uniform(self.settings.seed, purpose, items=slots, step=step)

    def _normal(self, purpose: str, slots: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
        return randomness.normal(self.settings.seed, purpose, items=slots, step=step, shape=shape)

    def _after_step(self, stopping: bool) -> Iterator[Event]:
        """Log, save and sample where this step is due for it, in that order."""
        settings, step = self.settings, self.step
        last = step == self.total
        save = last or stopping
        save |= step % settings.checkpoint_every == 0 and step >= settings.checkpoint_from
        sample = last or (settings.sample_every > 0 and step % settings.sample_every == 0)
        if last or stopping or save or step % settings.log_every == 0:
            yield self._read_meter()
        if save:
            path = self.save()
            if path is not None:
                yield Saved(step, path)
        if sample and not stopping:
            yield from self._sample()
        if self.meter.steps == 0:
            self.meter.started = time.perf_counter()

    def _sample(self) -> Iterator[Event]:
        if self.draw_samples is not None:
            path = self.draw_samples(self.average.module, self.step)
            if path is not None:
                yield Sampled(self.step, path)

    def _read_meter(self) -> Logged:
        meter, self.meter = self.meter, Meter.on(self.device)
        loss = float(self.team.sum(meter.loss)) / meter.steps
        grad_norm = float(meter.grad_norm)
        # With fp16 an overflowing gradient is usual: the scaler skips the step and scales down.
        if not math.isfinite(loss) or not (math.isfinite(grad_norm) or self.scaler.is_enabled()):
            raise NonFiniteError(
                f"the loss is {loss} and the gradient norm {grad_norm} at step {self.step}"
            )
        # Reading the loss has waited for the device, so the clock now covers every step.
        seconds = time.perf_counter() - meter.started
        self.trained_seconds += seconds
        images = meter.steps * self.settings.batch_size
        return Logged(
            step=self.step,
            epoch=self.step * self.settings.batch_size / len(self.batches),
            loss=loss,
            lr=self.optimizer.param_groups[0]["lr"],
            grad_norm=grad_norm,
            images_per_second=images / seconds,
            seconds=self.trained_seconds,
        )

    def save(self) -> Path | None:
        """Let the leader write a checkpoint of this moment; return its folder to the leader."""
        parts = {
            part: {name: self.team.whole(tensor) for name, tensor in tensors.items()}
            for part, tensors in self._parts().items()
        }
        if not self.team.leads:
            return None
        state: dict[str, object] = {"bits": self.bits, "scaler": self.scaler.state_dict()}
        return self.checkpoints.save(self.step, parts, state)

    def load(self, saved: Checkpoint | None) -> None:
        """Go on from a checkpoint that the team's leader has found; the others pass None.

        Raises:
            CheckpointError: It is damaged, or does not fit this network.
        """
        self._make_optimizer_state()
        targets = self._parts()
        sources = None if saved is None else {part: saved.read(part) for part in targets}
        if saved is not None and sources is not None:
            for part, tensors in targets.items():
                checkpoint.check_fit(tensors, sources[part], str(saved.path / part))
            self.scaler.load_state_dict(saved.scaler)
            self.step = saved.step
        for part, tensors in targets.items():
            names = sorted(tensors)
            found = [sources[part][name] for name in names] if sources else None
            self.team.copy([tensors[name] for name in names], found)
        self.step = self.team.tell(self.step)
        self.scaler.load_state_dict(self.team.tell(self.scaler.state_dict()))

    def _parts(self) -> dict[str, Tensors]:
        return {
            "model": self.denoiser.backbone.state_dict(),
            "average": self.average.module.backbone.state_dict(),
            "optimizer": self._optimizer_tensors(),
        }

    def _optimizer_tensors(self) -> Tensors:
        return {
            f"{name}.{quantity}": value
            for name, parameter in self.denoiser.backbone.named_parameters()
            for quantity, value in self.optimizer.state[parameter].items()
        }

    def _make_optimizer_state(self) -> None:
        """Let the optimizer create its tensors, in its own memory layout, to be copied into."""
        for parameter in self.denoiser.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
