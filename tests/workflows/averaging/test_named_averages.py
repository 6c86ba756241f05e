"""Averages as --weights names them."""

import pytest

from iddm_cli.errors import CheckpointError
from iddm_cli.workflows.averaging.average_run import plan_averages, select_stored
from iddm_cli.workflows.averaging.combining import write_average

from .conftest import store


def make(model, step: int, length: float = 0.09) -> None:
    parts = select_stored(model, step)
    write_average(model, parts, plan_averages("pets", parts, [length])[0])


def test_the_latest_one_is_found_unless_a_step_is_named(model, capsys):
    store(model.run, checkpoints=[48, 64])
    make(model, 48)
    assert model.open_weights(None, "average-0.09").step == 48
    warning = capsys.readouterr().err
    assert "of step 48, and the latest checkpoint of step 64" in warning.replace("\n", " ")
    make(model, 64)
    assert model.open_weights(None, "average-0.09").step == 64
    assert model.open_weights(48, "average-0.09").step == 48
    assert capsys.readouterr().err == ""


def test_a_missing_one_is_reported_with_the_command_that_makes_it(model):
    store(model.run, checkpoints=[48, 64])
    make(model, 64)
    with pytest.raises(CheckpointError, match=r"has no average-0.1$") as error:
        model.open_weights(None, "average-0.1")
    assert "iddm average pets --length 0.1." in error.value.hint
    assert "There are: average-0.09 of step 64." in error.value.hint
    with pytest.raises(CheckpointError, match="of step 48") as error:
        model.open_weights(48, "average-0.09")
    assert "iddm average pets --length 0.09 --step 48" in error.value.hint
