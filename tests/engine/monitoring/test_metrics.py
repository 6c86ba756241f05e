"""Metrics: rows of one table, combined over the updates that were not skipped."""

import math

import pytest
import torch

from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.engine.events import Logged
from iddm_cli.engine.monitoring import metrics
from iddm_cli.engine.monitoring.metrics import METRICS, Metric, MetricAccumulator, UpdateResult
from tests.engine.test_trainer import make


def update(loss: float, grad_norm: float) -> UpdateResult:
    return UpdateResult(torch.tensor(loss), torch.tensor(grad_norm))


def accumulate(*updates: UpdateResult) -> metrics.MetricValues:
    accumulator = MetricAccumulator.on(torch.device("cpu"))
    for one in updates:
        accumulator.add(one)
    assert accumulator.steps == len(updates)
    return accumulator.read(SINGLE_PROCESS)


def test_loss_is_the_mean_and_the_gradient_norm_the_largest():
    values, loss_sum, finite = accumulate(update(1.0, 3.0), update(3.0, 2.0))
    assert values == {"loss": 2.0, "grad_norm": 3.0}
    assert (loss_sum, finite) == (4.0, 2)


def test_a_skipped_update_counts_in_no_metric():
    values, _, finite = accumulate(update(1.0, 3.0), update(math.nan, math.inf))
    assert (values, finite) == ({"loss": 1.0, "grad_norm": 3.0}, 1)


def test_where_all_are_skipped_the_mean_is_nan():
    values, _, finite = accumulate(update(math.nan, math.nan))
    assert math.isnan(values["loss"])
    assert finite == 0


def test_what_some_updates_do_not_measure_is_the_mean_of_those_that_do():
    judged = update(1.0, 3.0)._replace(more={"discriminator_loss": torch.tensor(0.5)})
    skipped = judged._replace(loss=torch.tensor(math.nan))
    values, _, finite = accumulate(update(1.0, 3.0), judged, skipped)
    assert values == {"loss": 1.0, "grad_norm": 3.0, "discriminator_loss": 0.5}
    assert finite == 2


@pytest.mark.parametrize("name", METRICS)
def test_every_row_is_complete(name):
    metric = METRICS[name]
    one = update(1.0, 2.0)._replace(more={name: torch.tensor(3.0)})
    assert metric.measure(one).shape == ()
    assert metric.combine in ("mean", "max")
    assert metric.summary


def test_a_new_row_is_in_every_event(tmp_path, monkeypatch):
    """The recipe of CONTRIBUTING.md: a row in this table is all that a metric takes."""
    row = Metric(lambda one: one.grad_norm**2, "mean", is_share=False, summary="its square")
    monkeypatch.setitem(METRICS, "squared_norm", row)
    events = [event for event in make(tmp_path).fit() if isinstance(event, Logged)]
    assert all(event.more["squared_norm"] == pytest.approx(event.grad_norm**2) for event in events)
    assert len(events) == 4
