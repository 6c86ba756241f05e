"""Diagnosis: what was wrong with an update whose numbers were not finite."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from iddm_cli.engine.guard import Skipped
from iddm_cli.engine.team import Team

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
