"""Metrics: what each update measures, and how it is combined between two lines of metrics.jsonl.

`METRICS` is the table: a new row is in every line from then on. Sums stay on the device, so that
no step waits for it.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from iddm_cli.distributed.group import ProcessGroup


class UpdateResult(NamedTuple):
    """What an update measured; nan in `loss` means that it was skipped.

    Attributes:
        loss: This process's share of the batch's mean loss, a scalar.
        grad_norm: Norm of the gradient over all processes before clipping, a scalar.
        more: What the objective measured besides, by name: shares of means over the batch, scalars.
    """

    loss: Tensor
    grad_norm: Tensor
    more: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Metric:
    """A metric of training.

    Attributes:
        measure: Returns its value of one update, a scalar on the device; None where it has none.
        combine: How the values of several updates become one: their mean, or the largest.
        is_share: Whether each process measures a share, so that the processes' values are added.
        summary: What it is, in a sentence.
    """

    measure: Callable[[UpdateResult], Tensor | None]
    combine: Literal["mean", "max"]
    is_share: bool
    summary: str


def _measure_more(name: str, summary: str) -> Metric:
    """Return the metric of what an objective measured besides its loss."""
    return Metric(lambda update: update.more.get(name), "mean", is_share=True, summary=summary)


METRICS: dict[str, Metric] = {
    "loss": Metric(lambda update: update.loss, "mean", is_share=True, summary="mean training loss"),
    "grad_norm": Metric(
        lambda update: update.grad_norm,
        "max",
        is_share=False,
        summary="largest gradient norm before clipping",
    ),
    "adversarial_loss": _measure_more(
        "adversarial_loss", "how artificial reconstructions look to the discriminator"
    ),
    "discriminator_loss": _measure_more(
        "discriminator_loss", "hinge loss of the discriminator, 1 where it cannot tell"
    ),
    "adaptive_weight": _measure_more(
        "adaptive_weight", "ratio of gradients, by which the adversarial loss is multiplied"
    ),
}


class MetricValues(NamedTuple):
    """The metrics of some updates.

    Attributes:
        values: Each metric of `METRICS` that was measured, by name; nan where all updates were
            skipped.
        loss_sum: Sum of the losses.
        finite: Number of updates that were not skipped.
    """

    values: dict[str, float]
    loss_sum: float
    finite: int


@dataclass
class MetricAccumulator:
    """The metrics since the last logged line.

    Attributes:
        totals: The sum or the largest value of each metric, a scalar, by its name.
        counts: Number of updates in each, without those that were skipped, a scalar.
        finite: Number of updates that were not skipped, a scalar.
        steps: Number of all updates.
        started: When the first update began, by time.perf_counter().
    """

    totals: dict[str, Tensor]
    counts: dict[str, Tensor]
    finite: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(cls, device: torch.device) -> "MetricAccumulator":
        """Return an empty accumulator on a device."""
        return cls({}, {}, torch.zeros((), device=device))

    def add(self, update: UpdateResult) -> None:
        """Add one update; a skipped one counts as a step alone."""
        finite = update.loss.isfinite()
        for name, metric in METRICS.items():
            if (value := metric.measure(update)) is None:
                continue
            zero = torch.zeros_like(self.finite)
            total = self.totals.get(name, zero)
            self.counts[name] = self.counts.get(name, zero) + finite
            if metric.combine == "mean":
                self.totals[name] = total + torch.where(finite, value, 0)
            else:
                self.totals[name] = torch.where(finite, torch.maximum(total, value), total)
        self.finite = self.finite + finite
        self.steps += 1

    def read(self, group: ProcessGroup) -> MetricValues:
        """Return the metrics over all processes. Collective: every process must call it.

        It waits for the device.
        """
        totals = {
            name: float(group.all_reduce_sum(total) if METRICS[name].is_share else total)
            for name, total in self.totals.items()
        }
        finite = int(self.finite)
        values = {
            name: _combine(METRICS[name], total, int(self.counts[name]))
            for name, total in totals.items()
        }
        return MetricValues(values, totals["loss"], finite)


def _combine(metric: Metric, total: float, finite: int) -> float:
    if metric.combine == "max":
        return total
    return total / finite if finite else math.nan
