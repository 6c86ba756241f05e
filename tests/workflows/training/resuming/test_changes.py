"""Changed settings: each is listed with its effect, and nothing that is as before."""

import pytest

from iddm_cli.distributed.group import SINGLE_PROCESS
from iddm_cli.errors import UsageError
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.workflows.training.resume import load_latest
from iddm_cli.workflows.training.resuming.changes import (
    EFFECTS,
    Change,
    explain_changes,
    find_changes,
    format_value,
    list_changes_without_effect,
    settings_of,
)
from tests.build.profiles import tiny_profile
from tests.engine.test_trainer import make, run


@pytest.fixture
def recorded(tmp_path):
    """A trainer that has saved steps 2 and 4 of 4, with the settings that it was trained with."""

    def make_with(**settings):
        trainer = make(tmp_path, **settings)
        keys = ("batch_size", "lr", "lr_schedule", "optimizer", "betas", "extensions")
        trainer.recipe |= {f"training.{key}": getattr(trainer.settings, key) for key in keys}
        return trainer

    run(make_with())
    return make_with


def test_nothing_changed_is_bit_for_bit(recorded):
    assert load_latest(SINGLE_PROCESS, recorded()) == ("bit for bit", [])


def test_each_change_is_named_with_what_it_does(recorded):
    changed = recorded(batch_size=4, optimizer="adam", betas=[0.5, 0.9])
    exactness, report = load_latest(SINGLE_PROCESS, changed)
    old = recorded().settings
    assert exactness.startswith("not bit for bit: ")
    assert f"training.batch_size {old.batch_size} → 4" in exactness
    assert [line.split(" ")[0] for line in report] == [
        "training.batch_size", "training.optimizer", "training.betas"
    ]  # fmt: skip
    assert f"image {4 * 4:,} instead of {4 * old.batch_size:,}" in report[0]
    assert "moments are kept" in report[1]


@pytest.mark.parametrize(("first", "then"), [("adamw", "muon"), ("muon", "adam")])
def test_an_optimizer_without_state_in_the_checkpoint_is_refused(tmp_path, first, then):
    trainer = make(tmp_path, optimizer=first)
    trainer.recipe["training.optimizer"] = first
    run(trainer)
    with pytest.raises(UsageError, match=f"cannot change from {first} to {then}"):
        load_latest(SINGLE_PROCESS, make(tmp_path, optimizer=then))
    assert load_latest(SINGLE_PROCESS, make(tmp_path, optimizer=first))[0] == "bit for bit"


def test_a_checkpoint_that_records_no_settings_is_compared_to_the_profile(recorded, tmp_path):
    trainer = recorded()
    assert trainer.checkpoints.latest_valid()[0].settings["training.lr"] == trainer.settings.lr
    (path,) = {path.parent for path in tmp_path.rglob("state.json") if "4" in path.parent.name}
    assert path.name.endswith("4")
    assert find_changes({}, trainer.recipe) == []


def test_a_kept_rate_is_bit_for_bit_and_its_figures_are_printed(recorded):
    extended = recorded(steps=8, lr_schedule="cosine", extensions=[[4, "keep"]])
    extended.recipe["training.lr_schedule"] = recorded().settings.lr_schedule
    _, report = load_latest(SINGLE_PROCESS, extended)
    assert any(line.startswith("training.steps 4 → 8") for line in report)
    assert any("constant to step 8" in line for line in report)


def test_settings_that_decide_nothing_are_listed_apart():
    before, now = tiny_profile(), tiny_profile(training={"keep": 5, "lr": 0.5}, sampling={})
    listed = list_changes_without_effect(before, now)
    assert [change.key for change in listed] == ["training.keep"]


def test_every_effect_names_a_setting():
    sections = tiny_profile().model_dump()
    known = {*tiny_profile().flatten(), *sections}
    assert EFFECTS.keys() <= known


def test_another_setting_applies_from_now_on():
    (line,) = explain_changes([Change("training.label_drop", 0.1, 0.5)], step=3)
    assert line == "training.label_drop 0.1 → 0.5: the new value applies from now on"


def test_values_are_written_as_in_a_profile_and_shortened():
    assert [format_value(v) for v in (None, True, 0.5, "cosine", [1, "keep"])] == [
        "null", "true", "0.5", "cosine", '[1, "keep"]'
    ]  # fmt: skip
    assert len(format_value("x" * 10**6)) < 100


def test_settings_of_another_version_fall_back_to_the_runs():
    like = TrainingSettings(lr=0.25)
    assert settings_of({"training.lr": 0.5, "training.steps": 7}, like).lr == 0.5
    assert settings_of({"training.lr": "much"}, like) is like
    assert settings_of({"model.lr": 0.5}, like).lr == 0.25
