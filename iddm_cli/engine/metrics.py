"""Metrics: sums over the steps between two lines of metrics.jsonl, kept on the device."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class MetricAccumulator:
    """Sums since the last logged line, on the device, so that no step waits for it.

    Attributes:
        loss: Sum of the losses of the steps whose numbers were finite, a scalar.
        grad_norm: Largest gradient norm of those steps, a scalar.
        finite: Number of those steps, a scalar.
        steps: Number of all steps, skipped ones included.
        started: When the first step began, by time.perf_counter().
    """

    loss: Tensor
    grad_norm: Tensor
    finite: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(cls, device: torch.device) -> "MetricAccumulator":
        """Return an empty accumulator on a device."""
        loss, grad_norm, finite = torch.zeros(3, device=device).unbind()
        return cls(loss, grad_norm, finite)

    def add(self, loss: Tensor, grad_norm: Tensor) -> None:
        """Add one step; a loss that is not finite means that its update was skipped."""
        finite = loss.isfinite()
        self.loss = self.loss + torch.where(finite, loss, 0)
        self.grad_norm = torch.where(
            finite, torch.maximum(self.grad_norm, grad_norm), self.grad_norm
        )
        self.finite = self.finite + finite
        self.steps += 1
