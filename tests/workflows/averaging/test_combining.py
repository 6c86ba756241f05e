"""Stored EMAs are combined with their coefficients, and nothing else enters."""

import pytest
import torch

from iddm_cli.checkpoints.averages import AverageFolder
from iddm_cli.errors import CheckpointError
from iddm_cli.workflows.averaging.average_run import plan_averages, select_stored
from iddm_cli.workflows.averaging.combining import combine, write_average
from iddm_cli.workflows.averaging.stored_averages import StoredAverage

from .conftest import store


def stored(step: int, **tensors: torch.Tensor) -> StoredAverage:
    return StoredAverage(step, 0.99, "snapshot", "", lambda: tensors)


def test_the_sum_is_in_float64_and_counters_are_the_newest():
    first = stored(1, a=torch.tensor([1.0, 3e4]).half(), n=torch.tensor([1]))
    last = stored(2, a=torch.tensor([2.0, 3e4]), n=torch.tensor([2]))
    made = combine([first, last], [-0.5, 1.5])
    assert torch.equal(made["a"], torch.tensor([2.5, 3e4]))
    assert made["a"].dtype == torch.float32
    assert torch.equal(made["n"], torch.tensor([2]))


def test_another_network_is_refused():
    last = stored(2, a=torch.zeros(2))
    for other in (stored(1, a=torch.zeros(3)), stored(1, b=torch.zeros(2))):
        with pytest.raises(CheckpointError, match="another network"):
            combine([other, last], [0.5, 0.5])


def test_an_average_is_written_with_how_it_was_made(model):
    store(model.run, checkpoints=[64], snapshots=[32, 48, 56])
    parts = select_stored(model, None)
    (plan,) = plan_averages("pets", parts, [0.08])
    made = write_average(model, parts, plan)
    assert made == AverageFolder(model.run.averages_dir).open("average-0.08", 64)
    record = made.record
    assert [one.step for one in record.combined] == [32, 48, 56, 64]
    assert [one.origin for one in record.combined] == [*["snapshot"] * 3, "checkpoint"]
    expected = sum(one.coefficient * one.step / 64 for one in record.combined)
    for tensor in made.read("average-0.08").values():
        assert torch.allclose(tensor, torch.full_like(tensor, expected), rtol=1e-6)
    assert sum(one.coefficient for one in record.combined) == pytest.approx(1)
    assert write_average(model, parts, plan).record == record
