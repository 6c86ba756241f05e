"""Extension points: every row is complete, and settings, help and rules follow the tables."""

import inspect
from itertools import pairwise
from typing import get_args

import pytest
import torch

from iddm_cli.diffusion.lookup import (
    build_schedule,
    build_time_distribution,
    build_time_grid,
    find_prediction,
    find_solver,
)
from iddm_cli.diffusion.predictions import Prediction
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.profiles import choices
from iddm_cli.profiles.choices import (
    GENERAL_SAMPLERS,
    GRIDS,
    PREDICTIONS,
    SAMPLERS,
    SCHEDULES,
    TIME_DISTRIBUTIONS,
    list_names,
    usual_steps,
)
from iddm_cli.profiles.settings import DiffusionSettings, SamplingSettings

TABLES = [
    (choices.SamplerName, SAMPLERS, SamplingSettings, "sampler"),
    (choices.GridName, GRIDS, SamplingSettings, "grid"),
    (choices.ScheduleName, SCHEDULES, DiffusionSettings, "schedule"),
    (choices.PredictionName, PREDICTIONS, DiffusionSettings, "prediction"),
    (choices.TimeDistributionName, TIME_DISTRIBUTIONS, DiffusionSettings, "time_distribution"),
]


@pytest.mark.parametrize(("names", "rows", "settings", "key"), TABLES)
def test_every_name_has_a_row_and_the_setting_describes_it(names, rows, settings, key):
    assert sorted(get_args(names)) == sorted(rows)
    description = settings.model_fields[key].description
    for name, row in rows.items():
        assert f"{name} ({row.summary})" in description


@pytest.mark.parametrize("name", GENERAL_SAMPLERS)
def test_a_sampler_has_a_solver_that_takes_its_options(name):
    row, solver = SAMPLERS[name], find_solver(name)
    parameters = inspect.signature(solver).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert options == row.options
    schedule = build_schedule("linear", 30)
    grid = build_time_grid("trailing", schedule)
    for steps in (1, 2, 3, 5, usual_steps(name, 30), 30):
        table = solver(schedule, grid, steps, **row.options)
        assert len(table) == steps, "a row is a call of the network"
        assert table.times[0] == 29
        assert all(later <= earlier for earlier, later in pairwise(table.times))
        assert isinstance(table, SolverTable)
        assert torch.isfinite(table.coefficients).all()
        assert steps - 1 not in table.noisy_steps, "the last step ends at the clean image"


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_samplers_options_are_settings_with_the_same_defaults(name):
    for key, default in SAMPLERS[name].options.items():
        own = SamplingSettings.model_fields[key].default
        assert choices.SAMPLER_SPECIFIC[key] == own
        assert own in (default, None), "null stands for the sampler's own default"
        settings = SamplingSettings(sampler=name)
        assert settings.sampler_options[key] == default
        lowest, highest = SAMPLERS[name].ranges.get(key, (default, default))
        assert lowest <= default <= highest


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_samplers_scheduler_is_one_of_diffusers_and_of_a_sampler_that_is_its_own(name):
    diffusers = pytest.importorskip("diffusers")
    scheduler = SAMPLERS[name].diffusers
    if scheduler is not None:
        parameters = inspect.signature(getattr(diffusers, scheduler.class_name)).parameters
        assert set(scheduler.config) <= set(parameters)
        assert set(scheduler.options.values()) <= set(parameters)
        assert scheduler.pipeline is None or hasattr(diffusers, scheduler.pipeline)
        assert SAMPLERS[scheduler.sampler].diffusers is scheduler


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_built_for_any_number_of_timesteps(name):
    for timesteps in (2, 1000):
        schedule = build_schedule(name, timesteps)
        assert isinstance(schedule, NoiseSchedule)
        assert len(schedule) == timesteps


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_prediction_type_has_its_mathematics(name):
    assert isinstance(find_prediction(name), Prediction)


@pytest.mark.parametrize("name", TIME_DISTRIBUTIONS)
def test_a_time_distribution_is_built_for_any_number_of_timesteps(name):
    for timesteps in (2, 1000):
        sample = build_time_distribution(name, build_schedule("cosine", timesteps))
        t = sample(torch.tensor([0.0, 0.5, 1 - 2.0**-24]))
        assert t.dtype == torch.int64
        assert 0 <= t[0] <= t[1] <= t[2] < timesteps
    row = TIME_DISTRIBUTIONS[name]
    for key, value in (("time_mean", row.mean), ("time_deviation", row.deviation)):
        assert (
            value is None
            or f"{value:g} for {name}" in DiffusionSettings.model_fields[key].description
        )


def test_nobody_takes_more_steps_than_there_are_times():
    assert [usual_steps(name, 1000) for name in ("ddim", "heun", "ddpm")] == [20, 21, 1000]
    assert [usual_steps(name, 5) for name in ("ddim", "heun", "ddpm")] == [5, 5, 5]


def test_names_are_listed_as_text():
    assert list_names(["a"]) == "a"
    assert list_names(["a", "b", "c"]) == "a, b or c"
