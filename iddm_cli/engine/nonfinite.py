"""The guard: an update whose numbers are not finite is skipped, and counted.

Nothing here waits for the device: what it says is a tensor until somebody reads it.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from iddm_cli.distributed.group import ALONE, Team


@dataclass(frozen=True)
class Skipped:
    """What the guard has counted.

    Attributes:
        total: Updates skipped in the whole run.
        streak: Updates skipped in a row, up to the last one.
        first: The step of the first of them.
    """

    total: int = 0
    streak: int = 0
    first: int = 0


class Guard:
    """Counts the updates that must not be made.

    A streak that has become too long stays on record until it is forgiven, even if later updates
    are sound again before somebody reads it.

    Args:
        device: Where losses and gradients are.
        limit: Length of a streak that is too long.
        team: Those who have to decide alike.
    """

    def __init__(self, device: torch.device, limit: int, team: Team = ALONE) -> None:
        self.limit = limit
        self.team = team
        # total, streak, first step of the streak
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)

    def check(self, step: int, loss: Tensor, grad_norm: Tensor) -> Tensor:
        """Look at the update of one step.

        Args:
            step: Its number.
            loss: This process's part of the loss, a scalar.
            grad_norm: Norm of the whole team's gradient, a scalar.

        Returns:
            1 where the update must be skipped, else 0: a scalar, float32.
        """
        bad = self.team.most(1 - (loss.isfinite() & grad_norm.isfinite()).float())
        total, streak, first = self._counts.unbind()
        skipped = bad.long()
        over = streak >= self.limit
        began = torch.where((streak == 0) & (skipped == 1), step, first)
        grown = torch.where(over, streak, (streak + 1) * skipped)
        self._counts = torch.stack([total + skipped, grown, torch.where(over, first, began)])
        return bad

    def read(self) -> Skipped:
        """Return what was counted; waits for the device."""
        return Skipped(*self._counts.tolist())

    def forgive(self) -> None:
        """Begin a new streak; the total stays."""
        self._counts[1:] = 0

    def state(self) -> dict[str, int]:
        """Return what has to be remembered."""
        counted = self.read()
        return {"skipped": counted.total, "streak": counted.streak, "first": counted.first}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned; an empty table is a new beginning."""
        counts = [int(state.get(name, 0)) for name in ("skipped", "streak", "first")]
        self._counts = torch.tensor(counts, dtype=torch.int64, device=self._counts.device)


SHOWN = 8
"""Pictures that are named."""


@dataclass(frozen=True)
class Part:
    """What one process has seen of an update.

    Attributes:
        losses: The loss of each picture, by its index in the dataset.
        gradients: The norm of each parameter's gradient, by its name.
    """

    losses: dict[int, float]
    gradients: dict[str, float]


@contextmanager
def gradients(network: nn.Module, team: Team) -> Iterator[dict[str, float]]:
    """Let a backward pass run, and measure the gradients that it leaves; nothing else changes."""
    norms: dict[str, float] = {}
    network.zero_grad(set_to_none=True)
    try:
        yield norms
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                norms[name] = float(team.whole(parameter.grad.norm()))
    finally:
        network.zero_grad(set_to_none=True)


def describe(skipped: Skipped, parts: Sequence[Part], *, again: bool) -> str:
    """Say what went wrong, and where.

    Args:
        skipped: What the guard has counted.
        parts: What each process has seen of the first update that was skipped.
        again: Whether training had gone back once already.
    """
    losses = {index: loss for part in parts for index, loss in part.losses.items()}
    norms = [item for part in parts for item in part.gradients.items()]
    lines = [
        f"{skipped.streak} updates in a row would have used numbers that are not finite"
        + (", though training had gone back and learnt more slowly." if again else "."),
        f"The first was step {skipped.first + 1}, with {_about(losses)}.",
    ]
    if norms:
        name, norm = max(norms, key=lambda item: item[1] if math.isfinite(item[1]) else math.inf)
        lines.append(f"Its largest gradient is that of {name}, with a norm of {norm:.3g}.")
    return "\n".join(lines)


def _about(losses: dict[int, float]) -> str:
    broken = sorted(index for index, loss in losses.items() if not math.isfinite(loss))
    if not broken:
        return f"finite losses of all its {len(losses)} pictures, up to {max(losses.values()):.3g}"
    named = ", ".join(map(str, broken[:SHOWN])) + (", ..." if len(broken) > SHOWN else "")
    return (
        f"a loss that is not finite for {len(broken)} of its {len(losses)} pictures "
        f"(number {named} in the dataset, from 0)"
    )
