"""Non-finite numbers: updates that would use them are skipped and counted, and diagnosed.

Counting never waits for the device: counts are tensors until they are read.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from iddm_cli.distributed.group import SINGLE_PROCESS, ProcessGroup

MAX_NAMED_IMAGES = 8
"""Images that a diagnosis names."""


@dataclass(frozen=True)
class SkippedUpdates:
    """Counts of the guard.

    Attributes:
        total: Updates skipped in the whole training.
        streak: Updates skipped in a row, up to the last one.
        first: The step of the first of that streak.
    """

    total: int = 0
    streak: int = 0
    first: int = 0


class NonFiniteGuard:
    """Counts the updates that must be skipped, since their numbers are not finite.

    A streak that reached the limit stays on record until it is read, even where later updates are
    finite again.

    Args:
        device: Where losses and gradients are.
        limit: Length of a streak that is too long.
        group: The processes that must decide alike.
    """

    def __init__(
        self, device: torch.device, limit: int, group: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        self.limit = limit
        self.group = group
        # total, streak, first step of the streak
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)

    def check(self, step: int, loss: Tensor, grad_norm: Tensor) -> Tensor:
        """Check one update. Collective: every process must call it.

        Args:
            step: Its number.
            loss: This process's share of the loss, a scalar.
            grad_norm: Norm of the gradient over all processes, a scalar.

        Returns:
            1 where the update must be skipped, else 0: a scalar, float32.
        """
        non_finite = 1 - (loss.isfinite() & grad_norm.isfinite()).float()
        skip = self.group.all_reduce_max_tensor(non_finite)
        total, streak, first = self._counts.unbind()
        skipped = skip.long()
        over = streak >= self.limit
        first_of_streak = torch.where((streak == 0) & (skipped == 1), step, first)
        new_streak = torch.where(over, streak, (streak + 1) * skipped)
        new_first = torch.where(over, first, first_of_streak)
        self._counts = torch.stack([total + skipped, new_streak, new_first])
        return skip

    def read(self) -> SkippedUpdates:
        """Return the counts; waits for the device."""
        return SkippedUpdates(*self._counts.tolist())

    def state_dict(self) -> dict[str, int]:
        """Return the counts, as a checkpoint stores them."""
        counts = self.read()
        return {"skipped": counts.total, "streak": counts.streak, "first": counts.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; missing counts are 0."""
        counts = [int(state.get(name, 0)) for name in ("skipped", "streak", "first")]
        self._counts = torch.tensor(counts, dtype=torch.int64, device=self._counts.device)


@dataclass(frozen=True)
class ObservedUpdate:
    """What one process observed of an update.

    Attributes:
        losses: The loss of each image, by its index in the dataset.
        gradient_norms: The norm of each parameter's gradient, by its name.
    """

    losses: dict[int, float]
    gradient_norms: dict[str, float]


@contextmanager
def measure_gradients(network: nn.Module, group: ProcessGroup) -> Iterator[dict[str, float]]:
    """Measure the norms of the gradients that backward passes inside leave; discard them.

    Collective: every process must enter it.
    """
    norms: dict[str, float] = {}
    network.zero_grad(set_to_none=True)
    try:
        yield norms
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                norms[name] = float(group.full_tensor(parameter.grad.norm()))
    finally:
        network.zero_grad(set_to_none=True)


def diagnose(
    skipped: SkippedUpdates, observed: Sequence[ObservedUpdate], *, rolled_back: bool
) -> str:
    """Return which images and which parameter had numbers that are not finite.

    Args:
        skipped: The counts of the guard.
        observed: What each process observed of the first update that was skipped.
        rolled_back: Whether training had already rolled back once.
    """
    losses = {index: loss for part in observed for index, loss in part.losses.items()}
    norms = [item for part in observed for item in part.gradient_norms.items()]
    lines = [
        f"{skipped.streak} updates in a row would have used numbers that are not finite"
        + (", even after a rollback with a reduced learning rate" if rolled_back else ""),
        f"the first was step {skipped.first + 1}, with {_describe_losses(losses)}",
    ]
    if norms:
        name, norm = max(norms, key=lambda item: item[1] if math.isfinite(item[1]) else math.inf)
        lines.append(f"its largest gradient is that of {name}, with a norm of {norm:.3g}")
    return "\n".join(lines)


def _describe_losses(losses: dict[int, float]) -> str:
    broken = sorted(index for index, loss in losses.items() if not math.isfinite(loss))
    if not broken:
        return f"finite losses of all its {len(losses)} images, up to {max(losses.values()):.3g}"
    ellipsis = ", ..." if len(broken) > MAX_NAMED_IMAGES else ""
    named = ", ".join(map(str, broken[:MAX_NAMED_IMAGES])) + ellipsis
    return (
        f"a loss that is not finite for {len(broken)} of its {len(losses)} images "
        f"(number {named} in the dataset, from 0)"
    )
