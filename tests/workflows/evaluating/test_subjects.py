"""Subjects: of several settings, Ctrl-C and errors lose none of those that are finished."""

import pytest

from iddm_cli.errors import RunError
from iddm_cli.workflows.evaluating.request import EvaluationRequest, SamplingGrid
from iddm_cli.workflows.evaluating.sampling_choices import list_choices
from iddm_cli.workflows.evaluating.subjects import evaluate_choices
from tests.display.test_evaluation import make_evaluation


def interrupt_at(title: str, error: BaseException | None = None):
    """Return what evaluates a choice, and is interrupted at one of them."""

    def measure(_choice, own_title):
        if own_title == title:
            raise error or KeyboardInterrupt
        return make_evaluation(own_title)

    return measure


@pytest.fixture
def choices(model):
    return list_choices(model, EvaluationRequest(grid=SamplingGrid(steps=(2, 3, 4))))


def test_what_is_finished_before_ctrl_c_is_kept(choices):
    series = evaluate_choices(choices, interrupt_at("3 steps"))
    assert [one.title for one in series.finished] == ["2 steps"]
    assert series.missing == ("3 steps", "4 steps")


def test_what_is_finished_before_an_error_is_kept(choices):
    error = RunError("the checkpoint is damaged", "Take another one.")
    series = evaluate_choices(choices, interrupt_at("4 steps", error))
    assert [one.title for one in series.finished] == ["2 steps", "3 steps"]
    assert series.missing == ("4 steps",) and series.stopped_by is error
    with pytest.raises(RunError):
        evaluate_choices(choices, interrupt_at("2 steps", error))


def test_without_ctrl_c_nothing_is_missing(choices):
    series = evaluate_choices(choices, interrupt_at(""))
    assert [one.title for one in series.finished] == ["2 steps", "3 steps", "4 steps"]
    assert series.missing == ()


def test_ctrl_c_before_the_first_is_finished_leaves_nothing_to_report(choices):
    with pytest.raises(KeyboardInterrupt):
        evaluate_choices(choices, interrupt_at("2 steps"))
