"""What can be averaged: lengths, steps, and what the stored EMAs of a run can express."""

import pytest

from iddm_cli.errors import CheckpointError, RunError, UsageError
from iddm_cli.workflows.averaging.average_run import (
    AverageRequest,
    average_run,
    parse_lengths,
    plan_averages,
    select_stored,
)

from .conftest import store


@pytest.mark.parametrize(
    ("text", "lengths"), [(None, []), ("0.1", [0.1]), ("0.2, 0.05,0.2,", [0.05, 0.2])]
)
def test_lengths_are_numbers_between_commas(text, lengths):
    assert parse_lengths(text) == lengths


@pytest.mark.parametrize("text", ["", "long", "0", "0.3", "-0.1", "1", "nan", "inf", "0.12345"])
def test_other_lengths_are_refused(text):
    with pytest.raises(UsageError, match="--length"):
        parse_lengths(text)
    with pytest.raises(UsageError, match="these are 21"):
        parse_lengths(",".join(str(n / 100) for n in range(1, 22)))


def test_a_file_is_no_run(file):
    with pytest.raises(UsageError, match="exported file") as error:
        average_run(AverageRequest(str(file)), as_json=False)
    assert "iddm average steel" in error.value.hint


def test_an_average_ends_at_the_latest_checkpoint_or_at_a_step_that_is_stored(model):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        select_stored(model, None)
    store(model.run, checkpoints=[16, 32], snapshots=[8, 24, 40])
    assert [each.step for each in select_stored(model, None)] == [8, 16, 24, 32]
    assert [each.step for each in select_stored(model, 24)] == [8, 16, 24]
    with pytest.raises(CheckpointError, match="no EMA of step 20") as error:
        select_stored(model, 20)
    assert "8, 16, 24, 32, 40" in error.value.hint


def test_a_length_that_cannot_be_expressed_is_refused_with_those_that_can(model, capsys):
    store(model.run, checkpoints=[48, 64])
    stored = select_stored(model, None)
    assert [plan.length for plan in plan_averages("pets", stored, [0.09])] == [0.09]
    with pytest.raises(RunError, match=r"cannot express length 0.01 \(similarity 0\.") as error:
        plan_averages("pets", stored, [0.01, 0.09])
    words = error.value.hint.split()
    low, high = float(words[3]), float(words[5].rstrip("."))
    assert 0.01 < low < 0.09 < high < 0.2
    assert "training.average_snapshots" in error.value.hint
    for edge in (low, high):
        plan_averages("pets", stored, [edge])
    for beyond in (low - 0.005, high + 0.005):
        with pytest.raises(RunError):
            plan_averages("pets", stored, [round(beyond, 3)])
    usual = [plan.length for plan in plan_averages("pets", stored, [])]
    assert usual == [0.1]
    assert "0.05" in capsys.readouterr().err


def test_a_run_that_is_being_trained_is_left_alone(model):
    store(model.run, checkpoints=[64])
    with model.run.lock.hold(), pytest.raises(RunError, match="pets"):
        average_run(AverageRequest(str(model.run.path), [0.09]), as_json=False)
    assert not model.run.averages_dir.exists()
