"""The history of evaluations: the best values so far, and whether the model begins to memorize.

It is part of every checkpoint, so that a resumed training decides as one that was never stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iddm_cli.engine.events import LossGap
from iddm_cli.profiles.evaluation_metrics import (
    BEST_METRICS,
    HELD_OUT_LOSS,
    TRAINING_LOSS,
    rank_value,
)

RISEN_EVALUATIONS = 3
"""Held-out losses in a row above the lowest one, before a rise is reported."""

RISEN_SHARE = 0.01
"""How far above the lowest one the last of them must be, as a share of it."""


@dataclass(frozen=True)
class BestValue:
    """The best value of a metric, and the step that had it."""

    step: int
    value: float


@dataclass
class EvaluationHistory:
    """What the evaluations so far amount to.

    Attributes:
        best: The best value of each metric of BEST_METRICS, by name; the first of equal ones.
        not_improved: Number of held-out losses since the lowest one.
        training_at_best: The training loss when the held-out loss was lowest.
        has_warned: Whether the gap between both losses was reported.
        images: Number of images of each set; 0 before the first evaluation.
        seed: The seed that chose images, noise and times.
    """

    best: dict[str, BestValue] = field(default_factory=dict)
    not_improved: int = 0
    training_at_best: float = 0.0
    has_warned: bool = False
    images: int = 0
    seed: int = 0

    def add(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Add the values of a step; return the names of the metrics that were never better."""
        improved = [name for name in BEST_METRICS if name in values and self._is_best(name, values)]
        self.best |= {name: BestValue(step, values[name]) for name in improved}
        if HELD_OUT_LOSS in improved:
            self.not_improved, self.training_at_best = 0, values[TRAINING_LOSS]
        elif HELD_OUT_LOSS in values:
            self.not_improved += 1
        return list(improved)

    def _is_best(self, name: str, values: Mapping[str, float]) -> bool:
        best = self.best.get(name)
        return rank_value(name, values[name]) < rank_value(name, best.value if best else None)

    def find_gap(self, step: int, values: Mapping[str, float]) -> LossGap | None:
        """Return the gap between both losses where it has to be reported, once in a training.

        That is where the last RISEN_EVALUATIONS held-out losses or more were above the lowest
        one, the last of them by RISEN_SHARE of it or more, and the training loss, at the same
        noise and times, is below what it was then. Noise and times are fixed, and weights are
        averaged: three losses in a row do not rise by chance alone.
        """
        best = self.best.get(HELD_OUT_LOSS)
        if self.has_warned or best is None or HELD_OUT_LOSS not in values:
            return None
        risen = values[HELD_OUT_LOSS] >= (1 + RISEN_SHARE) * best.value
        fallen = values[TRAINING_LOSS] < self.training_at_best
        if self.not_improved < RISEN_EVALUATIONS or not (risen and fallen):
            return None
        self.has_warned = True
        return LossGap(
            step,
            since=best.step,
            held_out=(best.value, values[HELD_OUT_LOSS]),
            training=(self.training_at_best, values[TRAINING_LOSS]),
        )

    def forget_loss(self, *, images: int, seed: int) -> None:
        """Forget held-out losses that others cannot be compared with: of other images or noise."""
        self.best.pop(HELD_OUT_LOSS, None)
        self.not_improved, self.training_at_best, self.has_warned = 0, 0.0, False
        self.images, self.seed = images, seed

    def state_dict(self) -> dict[str, object]:
        """Return the history as state.json of a checkpoint stores it."""
        return {
            "best": {name: [best.step, best.value] for name, best in self.best.items()},
            "not_improved": self.not_improved,
            "training_at_best": self.training_at_best,
            "has_warned": self.has_warned,
            "images": self.images,
            "seed": self.seed,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "EvaluationHistory":
        """Return the history that `state_dict` returned; an empty one for an empty dict."""
        best = {name: BestValue(*entry) for name, entry in state.get("best", {}).items()}
        return cls(**{**state, "best": best})
