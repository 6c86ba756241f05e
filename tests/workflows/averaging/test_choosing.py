"""The best average is the one with the lowest MIND, and becomes the run's default."""

from types import SimpleNamespace

import pytest

from iddm_cli.errors import RunError
from iddm_cli.workflows.averaging.choosing import choose_average, keep_default, pick_best
from iddm_cli.workflows.evaluating import subjects
from iddm_cli.workflows.evaluating.request import EvaluationRequest

from .conftest import store
from .test_named_averages import make


def evaluation(mind: float, frechet: float = 0.0) -> SimpleNamespace:
    numbers = {"mind": SimpleNamespace(value=mind), "frechet": SimpleNamespace(value=frechet)}
    return SimpleNamespace(quality=SimpleNamespace(numbers=numbers))


def test_the_lowest_mind_wins_and_of_equals_the_first():
    names = ("average", "average-0.05", "average-0.1")
    assert pick_best(names, [evaluation(3, 1), evaluation(1, 3), evaluation(2, 0)]) == names[1]
    assert pick_best(names, [evaluation(1), evaluation(1), evaluation(2)]) == "average"


def test_without_a_mind_nothing_is_chosen():
    with pytest.raises(RunError, match="too few"):
        pick_best(("average",), [SimpleNamespace(quality=SimpleNamespace(numbers={}))])


def test_the_default_is_a_setting_of_the_run(model):
    before = model.load_profile([])
    keep_default(model, "average-0.09")
    after = model.load_profile([])
    assert after.sampling.weights == "average-0.09"
    assert after == before.model_copy(update={"sampling": after.sampling})


@pytest.mark.parametrize("stopped_by", [None, KeyboardInterrupt()])
def test_what_is_evaluated_is_of_one_step_and_a_stop_changes_nothing(
    model, monkeypatch, stopped_by
):
    store(model.run, checkpoints=[48, 64])
    make(model, 48)
    made = [model.open_weights(48, "average-0.09")]
    seen = []

    def evaluate(subject, request):
        seen.append(request)
        return SimpleNamespace(finished=[evaluation(2), evaluation(1)], stopped_by=stopped_by)

    monkeypatch.setattr(subjects, "evaluate", evaluate)
    request = EvaluationRequest(count=7)
    if stopped_by:
        with pytest.raises(KeyboardInterrupt):
            choose_average(model, made, request, as_json=True)
    else:
        assert choose_average(model, made, request, as_json=True) == "average-0.09"
    assert seen[0].grid.weights == ("average", "average-0.09")
    assert (seen[0].grid.checkpoints, seen[0].count) == ((48,), 7)
    expected = "average" if stopped_by else "average-0.09"
    assert model.load_profile([]).sampling.weights == expected
