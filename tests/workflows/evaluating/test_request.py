"""Lists of sampling settings: every combination, and a clear error for what is not a list."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.evaluating.request import MAX_SETTINGS, SamplingGrid, build_grid

NOTHING = {"checkpoints": [None], "sampler": None, "steps": None, "guidance": None, "weights": None}


def test_every_combination_is_there_once():
    grid = build_grid(**{**NOTHING, "steps": "5, 10,5", "sampler": "ddim,dpmpp-2m"})
    found = [
        (options["--sampler sampling.sampler"], options["--steps sampling.steps"])
        for _, _, options in grid.combinations()
    ]
    assert found == [("ddim", 5), ("ddim", 10), ("dpmpp-2m", 5), ("dpmpp-2m", 10)]


def test_intervals_and_precisions_are_lists_too():
    given = {"guidance_interval": "0:1, 0.2:0.8", "precision": "fp32,bf16"}
    found = [options for _, _, options in build_grid(**NOTHING, **given).combinations()]
    keys = ("--guidance-interval sampling.guidance_interval", "--precision sampling.precision")
    assert [tuple(options[key] for key in keys) for options in found] == [
        ([0, 1], "fp32"), ([0, 1], "bf16"), ([0.2, 0.8], "fp32"), ([0.2, 0.8], "bf16")
    ]  # fmt: skip


def test_what_is_not_given_is_the_profiles():
    assert build_grid(**NOTHING) == SamplingGrid()
    ((checkpoint, _, options),) = SamplingGrid().combinations()
    assert checkpoint is None
    assert set(options.values()) == {None}


@pytest.mark.parametrize(
    ("option", "text", "problem"),
    [
        ("steps", "5,,10", "--steps 5,,10 is not a list of numbers"),
        ("steps", "5;10", "is not a list of numbers"),
        ("steps", "1e3", "is not a list of numbers"),
        ("steps", "", "is not a list of numbers"),
        ("guidance", "1,two", "--guidance 1,two is not a list of numbers"),
        ("sampler", "ddim,dpm", "--sampler dpm: there is no such value"),
        ("sampler", "ddim,", "--sampler '': there is no such value"),
        ("guidance_interval", "0.2", "--guidance-interval 0.2 is not LOW:HIGH"),
        ("guidance_interval", "0.2-0.8", "is not LOW:HIGH"),
        ("precision", "fp64", "--precision fp64: there is no such value"),
        ("weights", "ema", "--weights ema: there is no such value"),
    ],
)
def test_an_invalid_list_is_refused(option, text, problem):
    with pytest.raises(UsageError, match=problem):
        build_grid(**{**NOTHING, option: text})


def test_too_many_combinations_are_refused():
    numbers = ",".join(str(i) for i in range(1, MAX_SETTINGS + 2))
    with pytest.raises(UsageError, match="these are 101 combinations"):
        build_grid(**{**NOTHING, "steps": numbers})
