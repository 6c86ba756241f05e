"""The history of evaluations: what was best, for how long nothing was, and when that is told."""

import json
import math

import pytest

from iddm_cli.engine.monitoring.evaluation_history import BestValue, EvaluationHistory


def follow(held_out: list[float], training: list[float] | None = None):
    """Return the history after these losses, one each 10 steps, and the gaps that it reported."""
    history, gaps = EvaluationHistory(), []
    for i, loss in enumerate(held_out):
        values = {"held_out_loss": loss, "training_loss": (training or held_out)[i]}
        history.add(10 * (i + 1), values)
        gaps.append(history.find_gap(10 * (i + 1), values))
    return history, gaps


FALLING = [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.04]


def test_the_best_is_the_first_lowest_and_the_count_starts_anew_at_each():
    history, _ = follow([3.0, 2.0, 2.5, 1.0, 1.0, 1.5])
    assert history.best["held_out_loss"] == BestValue(40, 1.0)
    assert history.not_improved == 2


def test_metrics_that_are_better_where_higher_are_compared_so():
    history = EvaluationHistory()
    assert history.add(1, {"coverage": 0.2, "mind": 3.0}) == ["mind", "coverage"]
    assert history.add(2, {"coverage": 0.3, "mind": 4.0}) == ["coverage"]
    assert history.best == {"coverage": BestValue(2, 0.3), "mind": BestValue(1, 3.0)}
    assert history.not_improved == 0, "only the held-out loss counts"


def test_a_loss_that_is_no_number_is_no_improvement():
    history, _ = follow([math.nan, 1.0, math.nan, math.inf])
    assert history.best["held_out_loss"] == BestValue(20, 1.0)
    assert history.not_improved == 2


def test_a_rise_is_reported_once_after_three_losses_above_the_lowest():
    _, gaps = follow([1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99], FALLING)
    assert [gap is not None for gap in gaps] == [False] * 4 + [True] + [False] * 2
    gap = gaps[4]
    assert (gap.step, gap.since) == (50, 20)
    assert gap.held_out == (0.9, 0.97)
    assert gap.training == (0.4, 0.1)


@pytest.mark.parametrize(
    ("held_out", "training"),
    [
        (FALLING, FALLING),
        ([1.0, 0.9, 0.902, 0.903, 0.904, 0.905, 0.906], FALLING),  # less than one per cent
        ([1.0, 0.9, 0.95, 0.96, 0.89, 0.95, 0.96], FALLING),  # never three in a row
        ([1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99], [*FALLING[:2], *[0.45] * 5]),  # both rose
    ],
    ids=["falls", "level", "noisy", "diverges"],
)
def test_what_is_no_memorization_is_not_reported(held_out, training):
    assert not any(follow(held_out, training)[1])


def test_a_saved_history_goes_on_as_if_it_had_never_been_saved():
    history, _ = follow([1.0, 0.1 + 0.2, 0.95], FALLING)
    again = EvaluationHistory.from_state(json.loads(json.dumps(history.state_dict())))
    assert again == history
    assert EvaluationHistory.from_state({}) == EvaluationHistory()


def test_other_images_make_former_losses_incomparable_but_not_other_metrics():
    history, _ = follow([1.0, 2.0], FALLING)
    history.add(30, {"mind": 1.0})
    history.forget_loss(images=9, seed=4)
    assert history == EvaluationHistory({"mind": BestValue(30, 1.0)}, images=9, seed=4)
