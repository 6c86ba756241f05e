"""Retention: which checkpoints of a run are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from iddm_cli.profiles.evaluation_metrics import rank_value


@dataclass(frozen=True)
class Retention:
    """Keep the newest few, those at multiples of a number of steps, and the best.

    Attributes:
        newest: How many of the newest are kept.
        every: Checkpoints at multiples of it are kept; 0: none for that reason.
        best: The metric whose best checkpoint is kept; None: none for that reason.
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
        best = find_best(saved, self.best) if self.best is not None else None
        if best is not None:
            kept.add(best)
        return [step for step in steps if step not in kept]


def find_best(saved: Mapping[int, Mapping[str, float]], name: str) -> int | None:
    """Return the step of the checkpoint that is best by a metric, of equals the newest.

    Args:
        saved: The metrics of each checkpoint, by its step.
        name: The metric; `BEST_METRICS` has its better direction.

    Returns:
        The step; None where no checkpoint has that metric.
    """
    ranks = {step: rank_value(name, saved[step].get(name)) for step in sorted(saved, reverse=True)}
    best = min(ranks, key=ranks.__getitem__, default=None)
    return best if best is not None and math.isfinite(ranks[best]) else None
