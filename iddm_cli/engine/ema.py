"""EMA: an exponential moving average of the weights, with a warmed-up decay."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from iddm_cli.distributed.group import local_tensor

Module = TypeVar("Module", bound=nn.Module)


def warmed_decay(decay: float, updates: int) -> float:
    """Return the decay after so many updates: min(decay, (1 + n) / (10 + n)).

    The window of the average is then at most a tenth of the training so far, so a short training
    is never averaged with its initial weights (the rule of TensorFlow's ExponentialMovingAverage).
    """
    return min(decay, (1 + updates) / (10 + updates))


class EMA(Generic[Module]):
    """A copy of a module whose parameters are moving averages of the original's.

    Args:
        module: The module that is trained; its present weights are the first average.
        decay: Share of the old average kept at each update, in [0, 1).
    """

    def __init__(self, module: Module, decay: float) -> None:
        self.module = copy.deepcopy(module)
        self.module.requires_grad_(False).eval()
        self.decay = decay
        self._averages: list[Tensor] = []
        self._originals: list[Tensor] = []
        self._followed: nn.Module | None = None

    @torch.no_grad()
    def update(self, module: nn.Module, step: int, weight: Tensor) -> None:
        """Move towards `module`, which has been updated `step` times; copy its buffers.

        Args:
            module: The original.
            step: Number of its updates.
            weight: 1, or 0 where the update was skipped and nothing moves: a scalar, float32.
        """
        weight = weight * (1 - warmed_decay(self.decay, step))
        if module is not self._followed:  # to list them takes as long as to average them
            pairs = zip(self.module.parameters(), module.parameters(), strict=True)
            trained = [(average, original) for average, original in pairs if original.requires_grad]
            self._averages = [average for average, _ in trained]
            self._originals = [original for _, original in trained]
            self._followed = module
        averages = [local_tensor(parameter) for parameter in self._averages]
        originals = [local_tensor(parameter) for parameter in self._originals]
        torch._foreach_lerp_(averages, originals, [weight] * len(averages))
        for average, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(buffer)
