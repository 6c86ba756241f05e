"""What an update does with a discriminator, besides the backward passes of the objective."""

import math

import torch
from torch import Tensor, nn

from iddm_cli.diffusion.objectives.adversarial import AdversarialObjective
from iddm_cli.diffusion.objectives.objective import Objective
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.optimization.joint import JointOptimizer
from iddm_cli.engine.optimization.optimizers import LR_RATIO, Adam, clip_gradients
from iddm_cli.profiles.settings import TrainingSettings

BETAS = (0.5, 0.9)
"""Adam's decay rates for a discriminator, as in VQGAN's code."""


class DiscriminatorStep:
    """Averages and clips a discriminator's gradients; does nothing where there is none.

    Args:
        objective: What updates minimize, perhaps with a discriminator.
        settings: The profile's training section.
        lr: The discriminator's peak learning rate; it decays as that of the training does.
        group: The processes that train together.

    Attributes:
        discriminator: The discriminator; None: there is none.
    """

    def __init__(
        self, objective: Objective, settings: TrainingSettings, lr: float, group: ProcessGroup
    ) -> None:
        self._objective = objective if isinstance(objective, AdversarialObjective) else None
        self._settings = settings
        self._lr = lr
        self._group = group
        self.discriminator = self._objective.discriminator if self._objective else None

    @property
    def start(self) -> int:
        """The step that the discriminator begins with; 0 without one."""
        return self._objective.start if self._objective else 0

    def add_to(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return an optimizer joined with the discriminator's."""
        if self.discriminator is None:
            return optimizer
        own = build_discriminator_optimizer(self.discriminator)
        own.param_groups[0][LR_RATIO] = self._lr / self._settings.lr
        parts = optimizer.parts if isinstance(optimizer, JointOptimizer) else (optimizer,)
        return JointOptimizer([*parts, own])

    def begin(self) -> None:
        """Begin an update, perhaps again."""
        if self._objective is not None:
            self._objective.begin()

    def average_gradients(self, step: int) -> None:
        """Average the gradients over the group. Collective: every process must call it."""
        if self.discriminator is not None and step >= self.start:
            self._group.average_gradients(list(self.discriminator.parameters()))

    def clip_gradients(self, step: int) -> Tensor | float:
        """Clip the gradients, by themselves; return their norm before, 0 without any."""
        if self.discriminator is None or step < self.start:
            return 0.0
        limit = self._settings.gradient_clip or math.inf
        return clip_gradients(list(self.discriminator.parameters()), limit).detach()

    def read(self) -> dict[str, Tensor]:
        """Return what the update measured: shares of means over the batch, by name."""
        measured = self._objective.measured if self._objective else {}
        return {name: total / self._settings.batch_size for name, total in measured.items()}


def build_discriminator_optimizer(discriminator: nn.Module) -> Adam:
    """Return Adam for a discriminator, with its state before the first update.

    Adam would create it with the first gradients; so every checkpoint has it.
    """
    parameters = list(discriminator.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    optimizer = Adam(parameters, lr=0.0, betas=BETAS, fused=fused)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()
    return optimizer
