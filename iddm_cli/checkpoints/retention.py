"""Retention: which checkpoints of a run are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Retention:
    """Keep the newest few, those at multiples of a number of steps, and the best.

    Attributes:
        newest: How many of the newest are kept.
        every: Checkpoints at multiples of it are kept; 0: none for that reason.
        best: The metric whose lowest checkpoint is kept; None: none for that reason.
    """

    newest: int
    every: int = 0
    best: str | None = None

    def to_delete(self, saved: Mapping[int, Mapping[str, float]]) -> list[int]:
        """Return the steps of the checkpoints to delete, oldest first.

        Args:
            saved: The metrics of each checkpoint, by its step.
        """
        steps = sorted(saved)
        kept = set(steps[-self.newest :])
        if self.every:
            kept.update(step for step in steps if step % self.every == 0)
        if self.best is not None and steps:
            name = self.best
            # Of several that are equally good, keep the newest.
            kept.add(min(reversed(steps), key=lambda step: _metric_value(saved[step], name)))
        return [step for step in steps if step not in kept]


def _metric_value(metrics: Mapping[str, float], name: str) -> float:
    value = metrics.get(name, math.inf)
    return value if isinstance(value, int | float) and math.isfinite(value) else math.inf
