"""The state of a training: every tensor that changes, copied out to be saved, and in again."""

import math

import torch

from iddm_cli.checkpoints import writer
from iddm_cli.checkpoints.checkpoint import Checkpoint
from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import Team
from iddm_cli.engine.ema import Average


class TrainingState:
    """Weights, their average, and what the optimizer remembers.

    Args:
        denoiser: What learns.
        average: Its average.
        optimizer: What updates it.
        scaler: Scales its gradients, with fp16.
        team: The processes that hold the tensors, whole or each a part.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        average: Average[Denoiser],
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        team: Team,
    ) -> None:
        self.denoiser = denoiser
        self.average = average
        self.optimizer = optimizer
        self.scaler = scaler
        self.team = team
        self._loss = 0.0
        self._steps = 0

    def parts(self) -> dict[str, Tensors]:
        """Return the tensors themselves, by the file they are saved in."""
        return {
            "model": self.denoiser.backbone.state_dict(),
            "average": self.average.module.backbone.state_dict(),
            "optimizer": self._optimizer_tensors(),
        }

    def snapshot(self) -> dict[str, Tensors] | None:
        """Return copies of all tensors to the leader; the others must ask at the same time."""
        whole = {
            part: {name: self.team.whole(tensor) for name, tensor in tensors.items()}
            for part, tensors in self.parts().items()
        }
        if not self.team.leads:
            return None
        return {part: writer.snapshot(tensors) for part, tensors in whole.items()}

    def load(self, saved: Checkpoint | None) -> None:
        """Overwrite all tensors by those of a checkpoint; only the team's leader has it.

        One of step 0 is an imported model. Training then begins from its average, which is what
        its user knows it by: the average, warming up, would soon have forgotten its own past.

        Raises:
            CheckpointError: It is damaged, or does not fit this network; nothing has changed.
        """
        self._make_optimizer_state()
        targets = self.parts()
        first = {"model": "average"} if saved and saved.step == 0 else {}
        sources = saved and {
            part: saved.read(first.get(part, part), like) for part, like in targets.items()
        }
        for part, tensors in targets.items():
            names = sorted(tensors)
            found = [sources[part][name] for name in names] if sources else None
            self.team.copy([tensors[name] for name in names], found)
        scale = self.team.tell(saved.scaler if saved else {})
        if scale and self.scaler.is_enabled():
            self.scaler.load_state_dict(scale)
        self._loss, self._steps = 0.0, 0

    def add_loss(self, loss: float, steps: int) -> None:
        """Count in the losses of some steps, for the figures of the next checkpoint."""
        self._loss += loss
        self._steps += steps

    def take_metrics(self) -> dict[str, float]:
        """Return the figures of the steps since the last checkpoint, and begin anew."""
        loss = self._loss / self._steps if self._steps else math.inf
        self._loss, self._steps = 0.0, 0
        return {"loss": loss} if math.isfinite(loss) else {}

    def _optimizer_tensors(self) -> Tensors:
        return {
            f"{name}.{quantity}": value
            for name, parameter in self.denoiser.backbone.named_parameters()
            for quantity, value in self.optimizer.state[parameter].items()
        }

    def _make_optimizer_state(self) -> None:
        """Let the optimizer create its tensors, in its own memory layout, to be copied into."""
        if any(self.optimizer.state[parameter] for parameter in self.denoiser.parameters()):
            return
        for parameter in self.denoiser.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
