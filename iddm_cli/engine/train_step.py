"""The learner: makes one update, as a pure function of (settings, step, weights)."""

import math
from contextlib import nullcontext
from functools import cached_property

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import ALONE, Team
from iddm_cli.engine import nonfinite, randomness
from iddm_cli.engine.device import autocast
from iddm_cli.engine.ema import Average
from iddm_cli.engine.memory import MicroBatch, free_what_is_left, is_out_of_memory
from iddm_cli.engine.nonfinite import Guard, Skipped
from iddm_cli.engine.optimizers import lr_at, make_optimizer, step_unless
from iddm_cli.engine.trainer_state import TrainingState
from iddm_cli.errors import IddmError, first_line
from iddm_cli.profiles.settings import TrainingSettings


def total_steps(settings: TrainingSettings, pictures: int) -> int:
    """Return how many updates a run makes in all."""
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None, "a profile has steps or epochs"
    return math.ceil(settings.epochs * pictures / settings.batch_size)


class Learner:
    """Makes the updates of a denoiser and of its average.

    Args:
        denoiser: The denoiser, on the device it is trained on.
        batches: The pictures of each step.
        settings: The profile's training section.
        times: How diffusion times are drawn, stratified or uniform.
        precision: fp32, bf16 or fp16.
        num_classes: Number of classes; the label that means "no label".
        bits: What decides the last bits besides the size of micro-batches.
        team: The processes that train together.

    Attributes:
        total: Updates in all.
        rate: The learning rate as a share of the profile's: 1 until training had to go back.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        batches: BatchLoader,
        settings: TrainingSettings,
        *,
        times: str,
        precision: str,
        num_classes: int,
        bits: dict[str, object],
        team: Team = ALONE,
    ) -> None:
        self.denoiser = denoiser
        self.batches = batches
        self.settings = settings
        self.times = times
        self.precision = precision
        self.num_classes = num_classes
        self.team = team

        self.device = denoiser.schedule.alpha.device
        self.slots = team.slots(settings.batch_size)
        self.micro = MicroBatch(settings.micro_batch, len(self.slots))
        self.average = Average(denoiser, settings.ema_decay)
        team.divide(denoiser.backbone, self.average.module.backbone)
        self.optimizer = make_optimizer(denoiser, settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.state = TrainingState(denoiser, self.average, self.optimizer, self.scaler, team)
        self.guard = Guard(self.device, settings.max_skipped, team)
        self.total = total_steps(settings, len(batches))
        self.rate = 1.0
        self._bits = bits

    @cached_property
    def learner(self) -> Denoiser:
        """The denoiser whose gradients become those of the whole team."""
        # Agreed on, since of a batch of five in parts of two only one of two has to split its own.
        steady = not self.team.largest(int(self.micro.size < len(self.slots)))
        return self.denoiser.around(self.team.wrap(self.denoiser.backbone, steady=steady))

    @property
    def bits(self) -> dict[str, object]:
        """What decides the last bits of the weights."""
        whole = self.micro.size == len(self.slots)
        return {**self._bits, "micro_batch": None if whole else self.micro.size}

    def update(self, step: int) -> tuple[Tensor, Tensor]:
        """Make update number `step`; return its loss and gradient norm, both scalars.

        Where one of them is not finite, nothing changes, and the loss is nan.
        """
        self.denoiser.train()
        loss = self._accumulate(step)
        self.scaler.unscale_(self.optimizer)
        parameters = list(self.denoiser.parameters())
        limit = self.settings.gradient_clip or math.inf
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        grad_norm = self.team.whole(grad_norm.detach())
        bad = self.guard.check(step, loss, grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * lr_at(self.settings, step, self.total)
        step_unless(bad, self.optimizer, self.scaler)
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.denoiser, step + 1, 1 - bad)
        return torch.where(bad > 0, math.nan, loss), grad_norm

    def rehearse(self, step: int) -> None:
        """Find out together how many pictures fit at once, by the batch of a step to come.

        Later, a process that ran out of memory alone could not be waited for.

        Raises:
            IddmError: Not even one does.
        """
        while self.team.largest(int(self._overflows(step))):
            self._compute_less("out of memory while trying it out")

    def _overflows(self, step: int) -> bool:
        needed = 2 * sum(p.numel() for p in self.denoiser.parameters())  # the optimizer's means
        try:
            _room = torch.empty(needed, device=self.device)
            some = self.micro.split(self.slots)[0]
            self.losses(step, some, self.denoiser).sum().backward()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return True
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return False

    def _accumulate(self, step: int) -> Tensor:
        """Add up the gradients of the whole batch, in parts that fit the memory.

        Returns:
            This process's part of the batch's mean loss.
        """
        while True:
            try:
                return self._add_up(step)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                problem = first_line(error)
            # Out of the handler, which would keep the broken update's tensors.
            if self.team.size > 1:
                raise IddmError(
                    f"process {self.team.rank}: {problem}",
                    "Go on with: iddm resume. Or set training.micro_batch to less than "
                    f"{self.micro.size}.",
                )
            self._compute_less(problem)

    def _compute_less(self, problem: str) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        free_what_is_left(self.device)
        if not self.micro.halve():
            raise IddmError(
                f"not even one picture at once fits the memory: {problem}",
                "Choose a smaller network (model.base_channels) or a smaller data.image_size.",
            )

    def _add_up(self, step: int) -> Tensor:
        purpose = "dropout" if self.team.leads else f"dropout/{self.team.rank}"
        randomness.seed_library(self.settings.seed, purpose, step=step)
        total = torch.zeros((), device=self.device)
        *others, last = self.micro.split(self.slots)
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

    def losses(self, step: int, slots: Tensor, denoiser: Denoiser | None = None) -> Tensor:
        """Return the loss of each of these slots of the batch, [B].

        Args:
            step: Which batch.
            slots: Which of its slots, [B], int64.
            denoiser: Whose loss; None: the one that learns.
        """
        x, label = self.batches.load_batch(step, slots)
        x, label, slots = (tensor.to(self.device) for tensor in (x, label, slots))
        noise = self._normal("noise", slots, step, tuple(x.shape[1:]))
        dropped = self._uniform("label-drop", slots, step) < self.settings.label_drop
        label = torch.where(dropped, self.num_classes, label)
        with autocast(self.device, self.precision):
            return (denoiser or self.learner).loss(x, self.draw_times(step, slots), noise, label)

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

    def diagnose(self, skipped: Skipped) -> str:
        """Say where it went wrong; nothing has changed since, so the step can be made again."""
        randomness.seed_library(self.settings.seed, "dropout", step=skipped.first)
        with nonfinite.gradients(self.denoiser.backbone, self.team) as gradients:
            losses = [self._examined(skipped.first, some) for some in self.micro.split(self.slots)]
        indices = self.batches.indices(skipped.first, self.slots)
        pictures = dict(zip(indices.tolist(), torch.cat(losses).tolist(), strict=True))
        told = self.team.gather(nonfinite.Part(pictures, gradients))
        text = nonfinite.describe(skipped, told, again=self.rate < 1) if self.team.leads else ""
        return self.team.tell(text)

    def _examined(self, step: int, slots: Tensor) -> Tensor:
        losses = self.losses(step, slots, self.denoiser)
        (losses.sum() / self.settings.batch_size).backward()
        return losses.detach()
