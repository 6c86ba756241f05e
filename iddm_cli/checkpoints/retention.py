"""Retention: which of a run's checkpoints stay."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Retention:
    """The newest few stay, one of every so many steps, and the best.

    Attributes:
        newest: How many of the newest.
        every: Those whose step is a multiple of it; 0: none for that.
        best: The figure of which the lowest stays; None: none for that.
    """

    newest: int
    every: int = 0
    best: str | None = None

    def dispensable(self, saved: Mapping[int, Mapping[str, float]]) -> list[int]:
        """Return the steps of the checkpoints to remove, oldest first.

        Args:
            saved: The figures of each checkpoint, by its step.
        """
        steps = sorted(saved)
        kept = set(steps[-self.newest :])
        if self.every:
            kept.update(step for step in steps if step % self.every == 0)
        if self.best is not None and steps:
            name = self.best
            # Of several that are equally good, the newest.
            kept.add(min(reversed(steps), key=lambda step: _figure(saved[step], name)))
        return [step for step in steps if step not in kept]


def _figure(metrics: Mapping[str, float], name: str) -> float:
    value = metrics.get(name, math.inf)
    return value if isinstance(value, int | float) and math.isfinite(value) else math.inf
