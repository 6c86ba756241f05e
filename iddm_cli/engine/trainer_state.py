"""The state of a training: everything that an update changes, and a checkpoint saves."""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from iddm_cli.checkpoints.checkpoint import PARTS, Checkpoint
from iddm_cli.checkpoints.tensors import Tensors, copy_to_cpu
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.ema import EMA
from iddm_cli.engine.memory import MicroBatch
from iddm_cli.engine.monitoring.evaluation_history import EvaluationHistory
from iddm_cli.engine.monitoring.nonfinite import NonFiniteGuard


class TrainerState:
    """Weights, their EMA, the optimizer's state, and a few numbers.

    Args:
        denoiser: The denoiser that is trained.
        ema: The exponential moving average of its weights.
        optimizer: Its optimizer.
        scaler: Scales its gradients, with fp16.
        guard: Counts the updates that were skipped.
        micro_batch: How many images are computed at once.
        group: The processes that hold the tensors, each all of them or a shard.
        discriminator: What an autoencoder is trained against, a part of the optimizer; None:
            nothing.

    Attributes:
        step: Number of updates made.
        lr_scale: Factor on the profile's learning rate: 1 until training rolled back.
        history: What the evaluations so far amount to.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        ema: EMA[Denoiser],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        guard: NonFiniteGuard,
        micro_batch: MicroBatch,
        group: ProcessGroup,
        discriminator: nn.Module | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.ema = ema
        self.optimizer = optimizer
        self.scaler = scaler
        self.guard = guard
        self.micro_batch = micro_batch
        self.group = group
        self.discriminator = discriminator
        self.step = 0
        self.lr_scale = 1.0
        self.history = EvaluationHistory()
        self._loss_sum = 0.0
        self._loss_count = 0

    def tensors(self) -> dict[str, Tensors]:
        """Return the tensors that training changes, by the file that they are saved in."""
        backbone, average = self.denoiser.backbone, self.ema.module.backbone
        frozen = {name for name, each in backbone.named_parameters() if not each.requires_grad}
        tensors = {
            "model": drop_names(backbone.state_dict(), frozen),
            "average": drop_names(average.state_dict(), frozen),
            "optimizer": self._optimizer_tensors(),
        }
        if self.discriminator is not None:
            tensors["discriminator"] = self.discriminator.state_dict()
        return tensors

    def snapshot(self, parts: Collection[str] = PARTS) -> dict[str, Tensors] | None:
        """Return copies of all tensors to the main process, None elsewhere.

        Collective: every process must call it.

        Args:
            parts: The parts of a checkpoint that are copied.
        """
        full = {
            part: {name: self.group.full_tensor(tensor) for name, tensor in tensors.items()}
            for part, tensors in self.tensors().items()
            if part in parts
        }
        if not self.group.is_main:
            return None
        return {part: copy_to_cpu(tensors) for part, tensors in full.items()}

    def state_dict(self) -> dict[str, object]:
        """Return everything but the tensors, as state.json of a checkpoint stores it."""
        progress = {
            **self.guard.state_dict(),
            "rate": self.lr_scale,
            "micro_batch": self.micro_batch.state_dict(),
            "evaluations": self.history.state_dict(),
        }
        return {"scaler": self.scaler.state_dict(), "course": progress}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; an empty dict is the state before step 0."""
        scaler = state.get("scaler", {})
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        progress = state.get("course", {})
        self.guard.load_state_dict(progress)
        self.lr_scale = float(progress.get("rate", 1.0))
        self.micro_batch.load_state_dict(dict(progress.get("micro_batch", {})))
        self.history = EvaluationHistory.from_state(dict(progress.get("evaluations", {})))
        self._loss_sum, self._loss_count = 0.0, 0

    def load(self, checkpoint: Checkpoint | None) -> None:
        """Restore a checkpoint. Collective: every process must call it.

        Args:
            checkpoint: The checkpoint, in the main process; None elsewhere.

        Raises:
            CheckpointError: It is damaged, or does not fit this network; nothing has changed.
        """
        self._load_tensors(checkpoint)
        state: dict[str, Any] = {}
        if checkpoint is not None:
            state = {"scaler": checkpoint.scaler, "course": checkpoint.trainer_state}
        self.step = self.group.broadcast(checkpoint.step if checkpoint else 0)
        self.load_state_dict(self.group.broadcast(state))

    def add_loss(self, loss_sum: float, count: int) -> None:
        """Add the losses of some updates to the metrics of the next checkpoint."""
        self._loss_sum += loss_sum
        self._loss_count += count

    def pop_metrics(self) -> dict[str, float]:
        """Return the metrics since the last checkpoint, and reset them."""
        loss = self._loss_sum / self._loss_count if self._loss_count else math.inf
        self._loss_sum, self._loss_count = 0.0, 0
        return {"loss": loss} if math.isfinite(loss) else {}

    def _load_tensors(self, checkpoint: Checkpoint | None) -> None:
        """Overwrite all tensors by the checkpoint's.

        A checkpoint of step 0 is an imported model. Training then starts from its averaged
        weights, the ones that its user knows; the EMA, while it warms up, would soon forget them.
        The optimizer, whichever it is, starts at zero.
        """
        self._create_optimizer_state()
        targets = self.tensors()
        sources = checkpoint and _read_tensors(checkpoint, targets)
        for part, tensors in targets.items():
            names = sorted(tensors)
            read = [sources[part][name] for name in names] if sources else None
            self.group.broadcast_into([tensors[name] for name in names], read)

    def _optimizer_tensors(self) -> Tensors:
        named = dict(self.denoiser.backbone.named_parameters())
        if self.discriminator is not None:
            named |= self.discriminator.named_parameters(prefix="discriminator")
        return {
            f"{name}.{quantity}": value
            for name, parameter in named.items()
            if parameter.requires_grad
            for quantity, value in self.optimizer.state[parameter].items()
        }

    def _create_optimizer_state(self) -> None:
        """Let the optimizer create its tensors, in its own memory layout, to be copied into."""
        parameters = [each for each in self.denoiser.parameters() if each.requires_grad]
        if any(self.optimizer.state[parameter] for parameter in parameters):
            return
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        for param_group in self.optimizer.param_groups:
            param_group["lr"] = 0.0
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def drop_names(tensors: Tensors, names: set[str]) -> Tensors:
    """Return the tensors that have none of these names."""
    return {name: tensor for name, tensor in tensors.items() if name not in names}


def _read_tensors(checkpoint: Checkpoint, like: dict[str, Tensors]) -> dict[str, Tensors]:
    """Return the tensors of a checkpoint, by part, each checked against those that it replaces."""
    if checkpoint.step > 0:
        return {part: checkpoint.read(part, tensors) for part, tensors in like.items()}
    average = checkpoint.read("average", like["average"])
    zeros = {name: torch.zeros_like(tensor) for name, tensor in like["optimizer"].items()}
    return {**like, "model": average, "average": average, "optimizer": zeros}
