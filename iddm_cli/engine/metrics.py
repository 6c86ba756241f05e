"""The meter: figures of the steps between two lines of the log."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Meter:
    """Running figures between two lines of the log, kept on the device until they are read.

    Attributes:
        loss: Sum of the losses of sound steps.
        grad_norm: Largest gradient norm of those.
        sound: How many they are.
        steps: All steps, those that were skipped too.
    """

    loss: Tensor
    grad_norm: Tensor
    sound: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(cls, device: torch.device) -> "Meter":
        """Return an empty meter."""
        loss, grad_norm, sound = torch.zeros(3, device=device).unbind()
        return cls(loss, grad_norm, sound)

    def add(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Count one step; where the loss is not finite it was skipped."""
        sound = loss.isfinite()
        self.loss = self.loss + torch.where(sound, loss, 0)
        self.grad_norm = torch.where(
            sound, torch.maximum(self.grad_norm, grad_norm), self.grad_norm
        )
        self.sound = self.sound + sound
        self.steps += 1
