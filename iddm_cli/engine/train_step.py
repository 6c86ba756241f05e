"""The train step: one update, as a pure function of (settings, step, weights)."""

import math
from contextlib import nullcontext
from functools import cached_property

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import BatchLoader, ConditionFn
from iddm_cli.data.loader.conditioned_augmentation import ConditionedAugmentation
from iddm_cli.data.loader.transfer import copy_to
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_time_distribution
from iddm_cli.diffusion.objectives.objective import DenoisingObjective, Objective
from iddm_cli.diffusion.time_distributions import SampleTimes
from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup
from iddm_cli.engine import randomness
from iddm_cli.engine.acceleration.compiling import CompiledBlocks, is_compile_error, should_compile
from iddm_cli.engine.acceleration.recompute import recompute_blocks
from iddm_cli.engine.device import autocast
from iddm_cli.engine.ema import EMA
from iddm_cli.engine.memory import MicroBatch, is_out_of_memory, release_memory
from iddm_cli.engine.monitoring.metrics import UpdateResult
from iddm_cli.engine.monitoring.nonfinite import NonFiniteGuard
from iddm_cli.engine.optimization.discriminator_step import DiscriminatorStep
from iddm_cli.engine.optimization.learning_rate import lr_at
from iddm_cli.engine.optimization.optimizers import (
    build_optimizer,
    clip_gradients,
    set_lr,
    step_unless_skipped,
)
from iddm_cli.engine.trainer_state import TrainerState
from iddm_cli.errors import IddmError, first_line
from iddm_cli.networks.augmentation import ConditionedBackbone
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.profiles.training_length import count_steps


class TrainStep:
    """Makes the updates of a denoiser and of its EMA.

    Args:
        denoiser: The denoiser, on the device that it is trained on.
        batches: The images of each step.
        settings: The profile's training section.
        times: How numbers in [0, 1) are sampled for the times, stratified or uniform.
        time_distribution: From such numbers to diffusion times; None: all equally often.
        precision: fp32, bf16 or fp16.
        num_classes: Number of classes; also the label that means "no label".
        numerics: What decides the last bits besides the size of the micro-batches.
        group: The processes that train together.
        compiling: Whether the network's blocks are compiled: auto, none or blocks.
        objective: What updates minimize; None: the denoising loss.
        augment: Changes images and conditions the network on it; None: nothing does.
        micro_batch: How many images are computed at once; None: as many as the settings say.
        condition: Makes the condition channels of images; None: the network has none.
        discriminator_lr: Peak learning rate of the discriminator, where the objective has one.

    Attributes:
        discriminator_step: What an update does with the objective's discriminator.
        total_steps: Number of updates of the whole training.
        compiled: The network's compiled blocks; None where nothing is compiled.
        state: Everything that an update changes.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        batches: BatchLoader,
        settings: TrainingSettings,
        *,
        times: str,
        time_distribution: SampleTimes | None = None,
        precision: str,
        num_classes: int,
        numerics: dict[str, object],
        group: ProcessGroup = SINGLE_PROCESS,
        compiling: str = "none",
        objective: Objective | None = None,
        augment: ConditionedAugmentation | None = None,
        micro_batch: MicroBatch | None = None,
        condition: ConditionFn | None = None,
        discriminator_lr: float = 0.0,
    ) -> None:
        self.denoiser = denoiser
        self.objective = objective or DenoisingObjective()
        self.augment = augment
        self.condition = condition
        self.batches = batches
        self.settings = settings
        self.times = times
        self.time_distribution = time_distribution or build_time_distribution(
            "uniform", denoiser.schedule
        )
        self.precision = precision
        self.num_classes = num_classes
        self.group = group
        self.device = denoiser.schedule.alpha.device
        self.slots = group.slots(settings.batch_size)
        self.total_steps = count_steps(settings, len(batches))
        self._numerics = numerics
        self.compiled: CompiledBlocks | None = None
        self.discriminator_step = DiscriminatorStep(
            self.objective, settings, discriminator_lr, group
        )
        self.state = self._build_state(compiling, micro_batch)

    def _build_state(self, compiling: str, micro_batch: MicroBatch | None) -> TrainerState:
        denoiser, settings, group = self.denoiser, self.settings, self.group
        ema = EMA(denoiser, settings.ema_decay)  # before: what is copied is neither
        if should_compile(compiling, self.device, self.total_steps):
            self.compiled = CompiledBlocks(denoiser.backbone, self.device)
        if settings.recompute == "blocks":
            recompute_blocks(denoiser.backbone)
        group.shard(denoiser.backbone, ema.module.backbone)
        optimizer = build_optimizer(denoiser.backbone, settings, precision=self.precision)
        return TrainerState(
            denoiser,
            ema,
            self.discriminator_step.add_to(optimizer),
            torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16"),
            NonFiniteGuard(self.device, settings.max_skipped, group),
            micro_batch or MicroBatch(settings.micro_batch, len(self.slots)),
            group,
            self.discriminator_step.discriminator,
        )

    @cached_property
    def ddp_denoiser(self) -> Denoiser:
        """The denoiser whose gradients become the mean over all processes."""
        # All processes agree: of a batch of five in parts of two only one of two splits its own.
        splits = self.group.all_reduce_max(int(self.state.micro_batch.size < len(self.slots)))
        return self.denoiser.around(
            self.group.wrap_ddp(self.denoiser.backbone, static_graph=not splits)
        )

    @cached_property
    def _parameters(self) -> list[Tensor]:
        """The denoiser's trained parameters, in the order of their groups."""
        own = {id(parameter) for parameter in self.denoiser.parameters()}
        groups = self.state.optimizer.param_groups
        return [p for group in groups for p in group["params"] if id(p) in own]

    @property
    def numerics(self) -> dict[str, object]:
        """What decides the last bits of the weights, besides profile and data."""
        size = self.state.micro_batch.size
        return {
            **self._numerics,
            "compile": "blocks" if self.compiled and self.compiled.active else None,
            "micro_batch": None if size == len(self.slots) else size,
        }

    def update(self, step: int) -> UpdateResult:
        """Make update number `step`, and return what it measured.

        Where loss or gradient are not finite, nothing changes, and the loss is nan.
        """
        state, settings = self.state, self.settings
        if not self.denoiser.training:
            self.denoiser.train()
        loss = self._accumulate_gradients(step)
        state.scaler.unscale_(state.optimizer)
        grad_norm = clip_gradients(self._parameters, settings.gradient_clip or math.inf)
        grad_norm = self.group.full_tensor(grad_norm.detach())
        norm = self.discriminator_step.clip_gradients(step)
        skip = state.guard.check(step, loss, grad_norm + norm)
        set_lr(state.optimizer, state.lr_scale * lr_at(settings, step, self.total_steps))
        step_unless_skipped(skip, state.optimizer, state.scaler)
        state.optimizer.zero_grad(set_to_none=True)
        state.ema.update(self.denoiser, step + 1, 1 - skip)
        more = self.discriminator_step.read()
        return UpdateResult(torch.where(skip > 0, math.nan, loss), grad_norm, more)

    def probe_memory(self, step: int) -> None:
        """Find out how many images fit at once, on the batch of a step to come.

        Collective: every process must call it. Later, the others could not wait for a process
        that ran out of memory alone.

        Raises:
            IddmError: Not even one image fits.
        """
        while self.group.all_reduce_max(int(self._overflows_memory(step))):
            self._halve_micro_batch("out of memory while probing")

    def _overflows_memory(self, step: int) -> bool:
        step = max(step, self.discriminator_step.start)  # which takes the most
        moments = 2 * sum(p.numel() for p in self.denoiser.parameters())  # of the optimizer
        try:
            _reserved = torch.empty(moments, device=self.device)
            slots = self.state.micro_batch.split(self.slots)[0]
            self.losses(step, slots, self.denoiser).sum().backward()
        except RuntimeError as error:
            if self._stop_compiling(error):
                return self._overflows_memory(step)
            if not is_out_of_memory(error):
                raise
            return True
        finally:
            self.state.optimizer.zero_grad(set_to_none=True)
        return False

    def _accumulate_gradients(self, step: int) -> Tensor:
        """Accumulate the gradients of the whole batch, in micro-batches that fit the memory.

        Returns:
            This process's share of the batch's mean loss.
        """
        while True:
            try:
                return self._accumulate_micro_batches(step)
            except RuntimeError as error:
                stopped = self._stop_compiling(error)
                if not (stopped or is_out_of_memory(error)):
                    raise
                problem = first_line(error)
            # Outside the handler, which would keep the tensors of the failed update alive.
            if self.group.world_size > 1:
                raise IddmError(
                    f"process {self.group.rank}: {problem}", self._advise(compiling=stopped)
                )
            if stopped:
                self.state.optimizer.zero_grad(set_to_none=True)
            else:
                self._halve_micro_batch(problem)

    def _stop_compiling(self, error: RuntimeError) -> bool:
        """Compute without compiled blocks if the error is about compiling; return whether it is."""
        if self.compiled is None or not self.compiled.active or not is_compile_error(error):
            return False
        self.compiled.stop(first_line(error))
        return True

    def _advise(self, *, compiling: bool) -> str:
        """Return how several processes, which cannot repeat an update alone, continue."""
        if compiling:
            return "Continue with: iddm resume --set runtime.compile=none"
        return (
            "Continue with: iddm resume. Or set training.micro_batch to less than "
            f"{self.state.micro_batch.size}."
        )

    def _halve_micro_batch(self, problem: str) -> None:
        self.state.optimizer.zero_grad(set_to_none=True)
        release_memory(self.device)
        if not self.state.micro_batch.halve():
            first = "Set training.recompute=blocks. " if self.settings.recompute == "none" else ""
            raise IddmError(
                f"not even one image at a time fits the memory: {problem}",
                f"{first}Choose a smaller network (model.base_channels, or "
                "model.width of a dit) or a smaller data.image_size.",
            )

    def _accumulate_micro_batches(self, step: int) -> Tensor:
        purpose = "dropout" if self.group.is_main else f"dropout/{self.group.rank}"
        randomness.seed_library(self.settings.seed, purpose, step=step)
        total = torch.zeros((), device=self.device)
        self.discriminator_step.begin()
        *others, last = self.state.micro_batch.split(self.slots)
        with self.group.no_sync(self.ddp_denoiser.backbone) if others else nullcontext():
            for slots in others:
                total += self._backward(step, slots)
        total = total + self._backward(step, last)
        self.discriminator_step.average_gradients(step)
        return total

    def _backward(self, step: int, slots: Tensor) -> Tensor:
        """Accumulate the gradients of some slots; return their share of the batch's mean loss."""
        loss = self.losses(step, slots).sum() / self.settings.batch_size
        # DDP takes the mean of the processes' gradients, where their sum is wanted.
        self.state.scaler.scale(loss * self.group.world_size).backward()
        return loss.detach()

    def losses(self, step: int, slots: Tensor, denoiser: Denoiser | None = None) -> Tensor:
        """Return the loss of each of these slots of the batch, [B].

        Args:
            step: Which batch.
            slots: Which of its slots, [B], int64.
            denoiser: Whose loss; None: that of the trained one.
        """
        x, label = self.batches.load_batch(step, slots)
        x, label = copy_to(self.device, x), copy_to(self.device, label)
        denoiser = denoiser or self.ddp_denoiser
        if self.augment is not None:
            x, augmentation = self.augment(x, step, slots)
            denoiser = denoiser.around(ConditionedBackbone(denoiser.backbone, augmentation))
        noise = self.sample_noise(step, copy_to(self.device, slots), x)
        if self.condition is not None:
            x = torch.cat([x, self.condition(x, step, slots)], dim=1)
        dropped = self._uniform("label-drop", slots, step) < self.settings.label_drop
        label = torch.where(dropped, self.num_classes, label)
        t = self.sample_times(step, slots)
        with autocast(self.device, self.precision):
            return self.objective.losses(
                denoiser, x, t, noise, label, target=self.denoiser, step=step
            )

    def sample_noise(self, step: int, slots: Tensor, x: Tensor) -> Tensor:
        """Return the noise of each slot, of several the one nearest to its image, [B, C, H, W].

        Which noise belongs to which image then depends less on chance (immiscible diffusion, Li et
        al. 2024, arXiv:2406.12303, here for each image by itself, so that no batch decides it).

        Args:
            step: Which batch.
            slots: Which of its slots, [B], int64, on the device.
            x: Their images, [B, C, H, W].
        """
        shape = tuple(x.shape[1:])
        noise = self._normal("noise", slots, step, shape)
        for number in range(1, self.settings.noise_candidates):
            other = self._normal(f"noise/{number}", slots, step, shape)
            gain = ((noise - x).square() - (other - x).square()).flatten(1).sum(1)
            noise = torch.where(gain.view(-1, 1, 1, 1) > 0, other, noise)
        return noise

    def sample_times(self, step: int, slots: Tensor) -> Tensor:
        """Return the diffusion time of each slot, [B], int64.

        Stratified: slot s samples from the s-th of batch_size equal parts of [0, 1), which become
        quantiles of the time distribution. That lowers the variance of the loss (Kingma et al.
        2021, arXiv:2107.00630, appendix I.1).
        """
        fraction = self._uniform("time", slots, step)
        if self.times == "stratified":
            fraction = (copy_to(self.device, slots) + fraction) / self.settings.batch_size
        return self.time_distribution(fraction)

    def _uniform(self, purpose: str, slots: Tensor, step: int) -> Tensor:
        """Return one number in [0, 1) for each slot, [B]; computed on the CPU, from few numbers."""
        numbers = randomness.uniform(self.settings.seed, purpose, items=slots, step=step)
        return copy_to(self.device, numbers)

    def _normal(self, purpose: str, slots: Tensor, step: int, shape: tuple[int, ...]) -> Tensor:
        return randomness.normal(self.settings.seed, purpose, items=slots, step=step, shape=shape)
