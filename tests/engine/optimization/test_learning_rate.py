"""The learning rate: by hand, and across extensions."""

import pytest

from iddm_cli.engine.optimization.learning_rate import list_lr_phases, lr_at
from iddm_cli.profiles.settings import TrainingSettings


@pytest.mark.parametrize(
    ("settings", "total", "wanted"),
    [
        ({"lr_schedule": "constant"}, 10, {0: 1.0, 9: 1.0}),
        ({"lr_schedule": "constant", "warmup_steps": 4}, 10, {0: 0.25, 3: 1.0, 4: 1.0}),
        ({"lr_schedule": "linear"}, 10, {0: 1.0, 5: 0.5, 9: 0.1}),
        ({"lr_schedule": "linear", "lr_final": 0.2}, 10, {0: 1.0, 5: 0.6}),
        ({"lr_schedule": "cosine"}, 8, {0: 1.0, 2: 0.853553, 4: 0.5, 6: 0.146447}),
        ({"lr_schedule": "cosine", "warmup_steps": 2}, 10, {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.5}),
        ({"lr_schedule": "warmup_cosine"}, 200, {0: 0.1, 9: 1.0, 10: 1.0, 105: 0.5}),
        ({"lr_schedule": "warmup_cosine", "warmup_steps": 2}, 10, {0: 0.5, 6: 0.5}),
    ],
    ids=str,
)
def test_learning_rates_are_as_computed_by_hand(settings, total, wanted):
    chosen = TrainingSettings(lr=1.0, **settings)
    assert {step: lr_at(chosen, step, total) for step in wanted} == pytest.approx(wanted, abs=1e-6)


DECAYS = [
    {"lr_schedule": "cosine"},
    {"lr_schedule": "cosine", "lr_final": 0.1},
    {"lr_schedule": "linear", "warmup_steps": 5},
    {"lr_schedule": "warmup_cosine"},
]


@pytest.mark.parametrize("schedule", DECAYS, ids=str)
def test_an_extension_changes_no_rate_before_it_and_keeps_a_low_one_after_it(schedule):
    plain = TrainingSettings(lr=1.0, **schedule)
    kept = TrainingSettings(lr=1.0, **schedule, extensions=[[100, "keep"]])
    assert [lr_at(kept, s, 300) for s in range(100)] == [lr_at(plain, s, 100) for s in range(100)]
    rates = {lr_at(kept, step, 300) for step in range(100, 300)}
    assert len(rates) == 1
    assert 0 < rates.pop() <= lr_at(plain, 94, 100), "not above the end of the decay"


def test_a_kept_rate_does_not_depend_on_how_often_a_run_is_extended():
    once, twice = (
        TrainingSettings(extensions=extensions)
        for extensions in ([[10, "keep"]], [[10, "keep"], [20, "keep"]])
    )
    assert {lr_at(once, s, 40) for s in range(10, 40)} == {lr_at(twice, 30, 40)}
    assert lr_at(TrainingSettings(lr_schedule="constant", extensions=[[10, "keep"]]), 20, 40) == (
        TrainingSettings().lr
    )


def test_rewarming_begins_at_the_rate_before_it_rises_to_lr_and_decays_again():
    settings = TrainingSettings(lr=1.0, warmup_steps=4, extensions=[[100, "rewarm"]])
    rates = [lr_at(settings, step, 200) for step in range(98, 200)]
    assert rates[2:6] == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=1e-3)
    assert max(rates) == 1.0
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001


def test_a_decay_after_a_constant_rate_begins_at_that_rate():
    settings = TrainingSettings(lr=1.0, warmup_steps=4, extensions=[[50, "decay"]])
    assert lr_at(settings, 50, 100) == 1.0
    assert lr_at(settings, 75, 100) == pytest.approx(0.5)


def test_an_extension_beyond_the_end_does_not_count():
    settings = TrainingSettings(extensions=[[100, "keep"]])
    assert lr_at(settings, 50, 80) == lr_at(TrainingSettings(), 50, 80)
    assert [(p.start, p.end, p.rule) for p in list_lr_phases(settings, 300)] == [
        (0, 100, "schedule"), (100, 300, "keep")
    ]  # fmt: skip
