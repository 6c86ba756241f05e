"""The plan of the held-out loss: never above a hundredth of the training, and as good as that."""

import itertools

import pytest

from iddm_cli.engine.monitoring.loss_plan import LossPlan, plan_loss

STEPS, BATCHES = (1, 7, 20, 33, 100, 520, 9_999, 10**6), (1, 8, 64, 1000)
AVAILABLE = (1, 5, 8, 30, 256, 10**5)
GRID = list(itertools.product(STEPS, BATCHES, AVAILABLE))


def passes_of_training(steps: int, batch_size: int) -> int:
    return 3 * steps * batch_size


def test_no_plan_costs_more_than_a_hundredth_of_the_training():
    for steps, batch_size, available in GRID:
        if plan := plan_loss(steps, batch_size, available):
            due = [step for step in range(1, min(steps, 10**4) + 1) if plan.is_due(step, steps)]
            evaluations = len(due) if steps <= 10**4 else plan.count_evaluations(steps)
            passes = evaluations * 2 * 4 * plan.images  # two sets, four bands
            assert passes <= 0.01 * passes_of_training(steps, batch_size)
            assert passes == plan.cost(steps)


def test_there_is_a_plan_wherever_one_evaluation_of_eight_images_is_within_the_cost():
    for steps, batch_size, available in GRID:
        least = 2 * 4 * min(8, available)
        affordable = least <= 0.01 * passes_of_training(steps, batch_size)
        assert (plan_loss(steps, batch_size, available) is not None) == affordable


def test_every_plan_evaluates_the_last_step_and_a_good_number_of_images():
    for steps, batch_size, available in GRID:
        if plan := plan_loss(steps, batch_size, available):
            assert plan.is_due(steps, steps)
            assert min(8, available) <= plan.images <= min(256, available)
            assert plan.count_evaluations(steps) <= 20


def test_a_long_training_has_twenty_evaluations_of_256_images():
    assert plan_loss(100_000, 64, 1000) == LossPlan(256, 5000)
    assert plan_loss(100_000, 64, 100) == LossPlan(100, 5000)


@pytest.mark.parametrize(
    ("steps", "batch_size", "expected"),
    [
        (520, 64, LossPlan(8, 35)),  # the demo profile: 15 evaluations
        (3000, 64, LossPlan(36, 150)),
        (33, 64, None),  # 63 passes are a hundredth, and eight images take 64
        (34, 64, LossPlan(8, 34)),
    ],
)
def test_short_trainings_have_fewer_images_and_then_fewer_evaluations(steps, batch_size, expected):
    assert plan_loss(steps, batch_size, 1000) == expected


def test_a_chosen_interval_is_kept_whatever_it_costs():
    assert plan_loss(100, 8, 30, every=5) == LossPlan(8, 5)
    assert plan_loss(10**6, 64, 1000, every=50_000) == LossPlan(256, 50_000)


def test_a_longer_training_keeps_the_images_of_its_history_within_the_cost():
    first = plan_loss(520, 64, 1000)
    longer = plan_loss(5200, 64, 1000, images=first.images)
    assert longer.images == first.images
    assert longer.cost(5200) <= 0.01 * passes_of_training(5200, 64)
    shorter = plan_loss(40, 64, 1000, images=256)
    assert shorter is None, "256 images are too many for even one evaluation"


def test_without_images_or_steps_there_is_no_plan():
    assert plan_loss(1000, 64, 0) is None
    assert plan_loss(0, 64, 100) is None
    assert plan_loss(1000, 64, 0, every=10) is None


def test_without_bands_about_four_times_as_many_images_cost_as_much():
    banded, whole = plan_loss(3000, 64, 1000), plan_loss(3000, 64, 1000, bands=1)
    assert whole.every == banded.every
    assert 0 <= whole.images - 4 * banded.images < 4
    assert 0 <= whole.cost(3000) - banded.cost(3000) < 2 * 4 * 20
