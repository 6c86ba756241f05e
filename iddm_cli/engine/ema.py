"""The average: an exponential moving average of the weights, warmed up."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from iddm_cli.distributed.group import here

Module = TypeVar("Module", bound=nn.Module)


def warmed_decay(decay: float, updates: int) -> float:
    """Return the decay after so many updates: min(decay, (1 + n) / (10 + n)).

    The window of the average is then at most a tenth of the run so far, so that an average can
    never be longer than its run (the rule of TensorFlow's ExponentialMovingAverage).
    """
    return min(decay, (1 + updates) / (10 + updates))


class Average(Generic[Module]):
    """A copy of a module whose parameters trail behind those of the original.

    Args:
        module: The module that is trained; its present weights are the average's first.
        decay: Share of the old average kept at each update, in [0, 1).
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = copy.deepcopy(module)
        self.module.requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int, sound: Tensor) -> None:
        """Move towards `module`, which has been updated `step` times; buffers are copied.

        Args:
            module: The original.
            step: Updates so far.
            sound: 1, or 0 where the update was skipped: then nothing moves. A scalar, float32.
        """
        weight = sound * (1 - warmed_decay(self.decay, step))
        ours = [here(parameter) for parameter in self.module.parameters()]
        theirs = [here(parameter) for parameter in module.parameters()]
        torch._foreach_lerp_(ours, theirs, [weight] * len(ours))
        for mine, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(buffer)
