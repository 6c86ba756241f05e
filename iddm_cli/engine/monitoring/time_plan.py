"""The time that a training takes: its steps, and everything between them."""

import math
from dataclasses import dataclass

from iddm_cli.engine.monitoring.loss_plan import LossPlan, evaluation_cost
from iddm_cli.profiles.settings import TrainingSettings

CHECKPOINT_BYTES_PER_SECOND = 400e6
"""How fast a checkpoint is copied, digested and written beside the training on two CPU cores."""

CHECKPOINT_SECONDS = 0.03
"""What the smallest checkpoint takes: files that are created, flushed and renamed."""


@dataclass(frozen=True)
class UnitCosts:
    """Seconds that each part of a training takes.

    Attributes:
        start: What the first step takes besides.
        step: A step.
        grid: A sample grid; 0 if there are none.
        checkpoint: A checkpoint.
        forward: A forward pass of one image.
        evaluation: An evaluation of generated images; 0 if there are none.
    """

    start: float
    step: float
    grid: float
    checkpoint: float
    forward: float
    evaluation: float = 0.0


@dataclass(frozen=True)
class TimePrediction:
    """How long a training takes, in seconds.

    Attributes:
        step: A step.
        total: The whole training.
        first_grid: Until the first sample grid; None if there are none.
        first_checkpoint: Until the first checkpoint.
        parts: The total by what takes it.
    """

    step: float
    total: float
    first_grid: float | None
    first_checkpoint: float
    parts: dict[str, float]


class TimePlan:
    """Predicts when a training reaches its sample grids, its checkpoints and its end.

    Args:
        settings: The profile's training section.
        costs: Seconds of each part.
        total_steps: Updates of the whole training.
        loss: The plan of the held-out loss; None: there is none.
        evaluate_every: Steps between evaluations of generated images; 0: there are none.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        costs: UnitCosts,
        *,
        total_steps: int,
        loss: LossPlan | None = None,
        evaluate_every: int = 0,
    ) -> None:
        self.settings = settings
        self.costs = costs
        self.total_steps = total_steps
        self.loss = loss
        self.evaluate_every = evaluate_every

    @property
    def first_checkpoint_step(self) -> int:
        """After which step the first checkpoint is saved."""
        every, start = self.settings.checkpoint_every, self.settings.checkpoint_from
        return min(every * max(1, math.ceil(start / every)), self.total_steps)

    @property
    def first_grid_step(self) -> int | None:
        """After which step the first sample grid is generated; None: never."""
        if self.settings.sample_count == 0:
            return None
        return min(self.settings.sample_every or self.total_steps, self.total_steps)

    def seconds_by_part(self, step: int) -> dict[str, float]:
        """Return what so many steps take, with everything that is due up to there."""
        settings, costs = self.settings, self.costs
        early = (settings.checkpoint_from - 1) // settings.checkpoint_every
        saved = self._count(step, settings.checkpoint_every) - max(0, early)
        losses = 0.0 if self.loss is None else self._count(step, self.loss.every)
        loss_passes = 0 if self.loss is None else evaluation_cost(self.loss.images, self.loss.bands)
        grids = self._count(step, settings.sample_every) if settings.sample_count else 0
        return {
            "steps": costs.start + step * costs.step,
            "sample_grids": grids * costs.grid,
            "checkpoints": max(int(step == self.total_steps), saved) * costs.checkpoint,
            "held_out_loss": losses * loss_passes * costs.forward,
            "evaluations": self._count(step, self.evaluate_every) * costs.evaluation
            if self.evaluate_every
            else 0.0,
        }

    def _count(self, step: int, every: int) -> int:
        """Return how often something was due that is due every so many steps, and at the end."""
        regular = step // every if every else 0
        is_extra = step == self.total_steps and (every == 0 or step % every > 0)
        return regular + is_extra

    def predict(self) -> TimePrediction:
        """Return the prediction."""
        parts = self.seconds_by_part(self.total_steps)
        grid = self.first_grid_step
        checkpoint = self.seconds_by_part(self.first_checkpoint_step)
        if self.first_checkpoint_step == grid:
            checkpoint["sample_grids"] -= self.costs.grid  # it is generated after the checkpoint
        return TimePrediction(
            step=self.costs.step,
            total=sum(parts.values()),
            first_grid=None if grid is None else sum(self.seconds_by_part(grid).values()),
            first_checkpoint=sum(checkpoint.values()),
            parts=parts,
        )


def checkpoint_seconds(size: int) -> float:
    """Return how long a checkpoint of so many bytes keeps the machine busy."""
    return CHECKPOINT_SECONDS + size / CHECKPOINT_BYTES_PER_SECOND
