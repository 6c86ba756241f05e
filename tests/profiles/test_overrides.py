"""Overrides: settings from the command line replace those of the file."""

import pytest

from iddm_cli.errors import ProfileError, UsageError
from iddm_cli.profiles.loading import load_profile
from iddm_cli.profiles.overrides import (
    Override,
    check_resumable,
    collect_overrides,
    parse_override,
)
from iddm_cli.profiles.profile import Profile


def test_the_last_override_wins_over_the_file_and_the_file_over_the_default(load):
    text = "training:\n  lr: 1e-3\n  batch_size: 8\n"
    assert load(text).training.lr == 1e-3
    assert load(text, "training.lr=2e-3").training.lr == 2e-3
    assert load(text, "training.lr=2e-3", "training.lr=3e-3").training.lr == 3e-3
    assert load(text).training.ema_decay == Profile().training.ema_decay


def test_lists_and_null_can_be_set(load):
    loaded = load("", "data.image_size=[32, 48]", "training.micro_batch=null")
    assert loaded.data.size == (32, 48)
    assert loaded.training.micro_batch is None


def test_an_error_names_an_override_as_it_was_spelled(refuse):
    assert refuse("", "training.lr=x").problem.startswith("--set training.lr=x: ")
    with pytest.raises(ProfileError, match=r"--steps: training\.steps must be at least 1"):
        load_profile("demo", [Override("training.steps", 0, "--steps")])


@pytest.mark.parametrize("text", ["training.lr", "training.learning_rate=1", "training=1", "=1"])
def test_a_malformed_set_is_refused(text):
    with pytest.raises(ProfileError):
        parse_override(text)


def test_options_follow_set_so_that_they_win():
    options = {"--steps training.steps": 5, "--epochs training.epochs": None}
    assert collect_overrides(options, ["training.lr=1", "training.steps=4"]) == [
        Override("training.lr", 1, "--set training.lr=1"),
        Override("training.steps", 4, "--set training.steps=4"),
        Override("training.steps", 5, "--steps"),
    ]


@pytest.mark.parametrize(
    ("key", "resumable", "resumable_without_dataset"),
    [
        ("training.lr", True, True),
        ("runtime.device", True, True),
        ("data.path", True, True),
        ("data.horizontal_flip", False, True),
        ("data.image_size", False, False),
        ("model.dropout", False, False),
        ("diffusion.schedule", False, False),
    ],
)
def test_a_run_resumes_only_with_changes_that_fit_its_weights(
    key, resumable, resumable_without_dataset
):
    for has_dataset, allowed in ((True, resumable), (False, resumable_without_dataset)):
        overrides = [Override(key, 1, "--set x")]
        if allowed:
            check_resumable(overrides, has_dataset=has_dataset)
        else:
            with pytest.raises(UsageError, match=f"--set x: {key} cannot change"):
                check_resumable(overrides, has_dataset=has_dataset)
