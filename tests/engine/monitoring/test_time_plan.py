"""The time plan: what is due up to a step is counted as the trainer counts it."""

import pytest

from iddm_cli.engine.monitoring.loss_plan import LossPlan
from iddm_cli.engine.monitoring.time_plan import TimePlan, UnitCosts, checkpoint_seconds
from iddm_cli.profiles.settings import TrainingSettings

COSTS = UnitCosts(start=5, step=2, grid=30, checkpoint=7, forward=0.25, evaluation=100)


def plan(total=100, loss=None, evaluate_every=0, **settings) -> TimePlan:
    return TimePlan(
        TrainingSettings(steps=total, epochs=None, **settings),
        COSTS,
        total_steps=total,
        loss=loss,
        evaluate_every=evaluate_every,
    )


def count_by_hand(total: int, settings: TrainingSettings) -> tuple[int, int]:
    """Return how many checkpoints and sample grids the trainer makes: its own two conditions."""
    steps = range(1, total + 1)
    saves = sum(
        s == total or (s % settings.checkpoint_every == 0 and s >= settings.checkpoint_from)
        for s in steps
    )
    every = settings.sample_every
    grids = sum(s == total or (every > 0 and s % every == 0) for s in steps)
    return saves, grids


@pytest.mark.parametrize("total", [1, 39, 40, 100])
@pytest.mark.parametrize("every", [1, 7, 20, 1000])
@pytest.mark.parametrize("start", [0, 20, 21, 500])
def test_checkpoints_and_grids_are_counted_as_the_trainer_counts(total, every, start):
    chosen = plan(total, checkpoint_every=every, checkpoint_from=start, sample_every=every % 7)
    saves, grids = count_by_hand(total, chosen.settings)
    parts = chosen.predict().parts
    assert parts["checkpoints"] == 7 * saves
    assert parts["sample_grids"] == 30 * grids
    assert parts["steps"] == 5 + 2 * total


def test_the_total_is_the_sum_of_its_parts():
    loss = LossPlan(images=8, every=30)
    found = plan(loss=loss, evaluate_every=40, checkpoint_every=50, sample_every=0).predict()
    assert found.parts == {
        "steps": 205,
        "sample_grids": 30,
        "checkpoints": 14,
        "held_out_loss": 4 * 64 * 0.25,
        "evaluations": 300,
    }
    assert found.total == sum(found.parts.values())


def test_the_first_grid_follows_the_first_checkpoint():
    found = plan(checkpoint_every=20, sample_every=20).predict()
    assert found.first_checkpoint == 5 + 20 * 2 + 7
    assert found.first_grid == found.first_checkpoint + 30
    late = plan(checkpoint_every=20, checkpoint_from=41, sample_every=50).predict()
    assert late.first_grid == 5 + 50 * 2 + 30
    assert late.first_checkpoint == 5 + 60 * 2 + 30 + 7


def test_a_training_without_grids_predicts_none():
    found = plan(sample_count=0).predict()
    assert found.first_grid is None
    assert found.parts["sample_grids"] == 0


def test_a_checkpoint_takes_time_and_a_larger_one_more():
    sizes = (0, 10**9, 2 * 10**9)
    none, one, two = (checkpoint_seconds(size) for size in sizes)
    assert 0 < none < one
    assert two - one == pytest.approx(one - none)
