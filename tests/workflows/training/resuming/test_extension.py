"""Extensions: no learning rate rises unless asked, and all of it is a function of the profile."""

import pytest

from iddm_cli.engine.optimization.learning_rate import lr_at
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.workflows.training.resuming.extension import plan_extension

FIRST = {"epochs": None, "steps": 100}


def extend(step: int, before=None, **wanted) -> list:
    """Return the extensions of a run of 100 steps, planned as `before` says, resumed at a step."""
    planned = TrainingSettings(**{**FIRST, **(before or {})})
    asked = planned.model_copy(update=wanted)
    return plan_extension(planned, asked, images=64, step=step).extensions


def test_a_decay_that_has_ended_is_kept_and_one_in_progress_is_stretched():
    assert extend(100, steps=300) == [[100, "keep"]]
    assert extend(90, steps=300) == [[100, "keep"]], "its last tenth counts as its end"
    assert extend(89, steps=300) == []
    assert extend(0, steps=300) == []


@pytest.mark.parametrize("schedule", ["cosine", "linear", "warmup_cosine"])
@pytest.mark.parametrize("step", [90, 95, 100])
def test_no_rate_after_the_joint_is_above_the_decays_last_tenth(schedule, step):
    planned = TrainingSettings(**FIRST, lr_schedule=schedule)
    asked = planned.model_copy(update={"steps": 300})
    extended = plan_extension(planned, asked, images=64, step=step)
    rates = [lr_at(extended, s, 300) for s in range(step, 300)]
    assert max(rates) <= lr_at(planned, 90, 100)
    assert min(rates[-100:]) > 0, "a rate of 0 trains nothing"


@pytest.mark.parametrize("rule", ["keep", "rewarm"])
def test_what_is_asked_for_is_done(rule):
    assert extend(100, steps=300, lr_extension=rule) == [[100, rule]]
    assert extend(30, steps=300, lr_extension=rule) == [[100, rule]], "after the planned decay"
    assert extend(100, steps=300, lr_extension="stretch") == []


def test_the_settings_alone_decide_so_the_same_command_again_changes_nothing():
    once = extend(100, steps=300)
    again = extend(100, before={"steps": 300, "extensions": once}, steps=300)
    assert again == once
    assert extend(100, steps=300, extensions=once) == once


def test_an_extension_of_an_extension():
    kept = {"steps": 300, "extensions": [[100, "keep"]]}
    assert extend(300, before=kept, steps=500) == [[100, "keep"]]
    assert extend(300, before=kept, steps=500, lr_extension="rewarm") == [
        [100, "keep"], [300, "rewarm"]
    ]  # fmt: skip
    warm = {"steps": 300, "extensions": [[100, "rewarm"]]}
    assert extend(300, before=warm, steps=500) == [[100, "rewarm"], [300, "keep"]]
    assert extend(150, before=warm, steps=500) == [[100, "rewarm"]], "stretched"
    assert extend(300, before=kept, steps=500, lr_extension="stretch") == []
    assert extend(300, before=warm, steps=500, lr_extension="stretch") == [[100, "rewarm"]]


def test_a_new_rule_replaces_the_rest_of_an_extension():
    kept = {"steps": 300, "extensions": [[100, "keep"]]}
    assert extend(100, before=kept, lr_extension="rewarm") == [[100, "rewarm"]]
    assert extend(150, before=kept, lr_extension="rewarm") == [[100, "keep"], [150, "rewarm"]]
    assert extend(150, before=kept, lr_extension="stretch") == []
    assert extend(150, lr_extension="rewarm") == [], "nothing has been extended"


def test_a_new_peak_is_a_request():
    assert extend(100, steps=300, lr=1e-4) == [[100, "rewarm"]]
    assert extend(100, steps=300, lr_schedule="constant") == []


def test_a_decay_after_a_constant_rate_starts_at_that_rate():
    constant = {"lr_schedule": "constant"}
    assert extend(100, before=constant, steps=200, lr_schedule="cosine") == [[100, "decay"]]
    assert extend(60, before=constant, lr_schedule="linear") == [[60, "decay"]]
    assert extend(100, before=constant, steps=200) == []


def test_a_run_of_epochs_is_extended_by_its_steps():
    planned = TrainingSettings(epochs=10, batch_size=8)
    asked = planned.model_copy(update={"epochs": 20})
    assert plan_extension(planned, asked, images=64, step=80).extensions == [[80, "keep"]]


def test_a_shorter_run_drops_the_extensions_beyond_its_end():
    kept = {"steps": 300, "extensions": [[100, "keep"]]}
    assert extend(50, before=kept, steps=90) == []
