"""The meter: figures of the steps between two lines of the log."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Meter:
    """Running figures between two lines of the log, kept on the device until they are read."""

    loss: Tensor
    grad_norm: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(cls, device: torch.device) -> "Meter":
        """Return an empty meter."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Count one step."""
        self.loss += loss
        # maximum, unlike max of floats, lets a NaN through.
        self.grad_norm = torch.maximum(self.grad_norm, grad_norm)
        self.steps += 1
