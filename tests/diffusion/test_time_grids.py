"""Time grids: which times a sampler's steps start from."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from diffusers import DPMSolverMultistepScheduler as DPMSolver
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid
from iddm_cli.diffusion.schedules import linear_schedule
from iddm_cli.diffusion.time_grids import TimeGrid, separate
from iddm_cli.profiles.choices import GRIDS, SCHEDULES
from tests.diffusion.reference import SHARED_SCHEDULES


def trailing(timesteps: int) -> TimeGrid:
    return build_time_grid("trailing", linear_schedule(timesteps))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 15, 20, 50, 333, 1000])
def test_the_times_are_their_trailing_ones(steps):
    theirs = DDIMScheduler(1000, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    assert trailing(1000)(steps) == theirs.timesteps.tolist()


@given(st.integers(2, 1100).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t))))
@example((1000, 48))  # 1000 / 48 meets halves
@example((37, 22))
@example((1000, 112))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_times_fall_from_the_end_and_are_theirs_for_any_number_of_steps(case):
    timesteps, steps = case
    times = trailing(timesteps)(steps)
    assert len(times) == steps
    assert times[0] == timesteps - 1
    assert times[-1] >= 0
    assert all(later < earlier for earlier, later in pairwise(times))
    scheduler = DDIMScheduler(timesteps, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    for k, (mine, yours) in enumerate(zip(times, scheduler.timesteps.tolist(), strict=False)):
        # They add up a rounded stride: an exact half falls to either side, and the sum may run
        # one step too far, to a time of -1 (which zip leaves out).
        half = Fraction(k * timesteps, steps).denominator == 2
        assert mine == yours or (half and abs(mine - yours) == 1)


@given(st.integers(2, 100_000).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, min(t, 99)))))
@example((100, 8))
@example((1000, 16))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_times_are_the_nearest_whole_ones_and_halves_go_to_even(case):
    timesteps, steps = case
    exact = [Fraction(timesteps) - Fraction(k * timesteps, steps) for k in range(steps)]
    assert trailing(timesteps)(steps) == [round(place) - 1 for place in exact]


@pytest.mark.parametrize("steps", [2, 3, 7, 10, 20, 50, 333, 1000])
def test_linspace_is_their_own(steps):
    theirs = DDIMScheduler(1000, timestep_spacing="linspace")
    theirs.set_timesteps(steps)
    assert build_time_grid("linspace", linear_schedule(1000))(steps) == theirs.timesteps.tolist()


@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_karras_levels_are_theirs_to_the_nearest_time(name, steps):
    schedule = build_schedule(name, 1000)
    theirs = DPMSolver(beta_schedule=SCHEDULES[name].diffusers, use_karras_sigmas=True)
    sigmas = (schedule.levels.sigma / schedule.levels.alpha).numpy()
    wanted = theirs._convert_to_karras(in_sigmas=sigmas[::-1], num_inference_steps=steps)
    found = sigmas[build_time_grid("karras", schedule)(steps)]
    apart = np.abs(np.diff(np.log(sigmas))).max()
    assert np.abs(np.log(found / wanted)).max() <= apart


@pytest.mark.parametrize("name", SHARED_SCHEDULES)
def test_the_log_snr_grid_has_equal_steps(name):
    schedule = build_schedule(name, 1000)
    times = build_time_grid("log-snr", schedule)(9)
    levels = schedule.levels.log_snr[times]
    apart = schedule.levels.log_snr.diff().abs().max()
    torch.testing.assert_close(
        levels.diff(), levels.diff().mean().expand(8), atol=float(apart), rtol=0
    )
    assert (times[0], times[-1]) == (999, 0)


@given(
    st.sampled_from(sorted(GRIDS)),
    st.sampled_from(sorted(SCHEDULES)),
    st.integers(1, 60).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t))),
    st.integers(0, 5),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_every_grid_falls_strictly_from_its_highest_time(name, schedule_name, case, above):
    starts, steps = case
    schedule = build_schedule(schedule_name, starts + above + 1)
    times = build_time_grid(name, schedule, starts - 1)(steps)
    assert len(times) == steps
    assert times[0] == starts - 1
    assert times[-1] >= 0
    assert all(later < earlier for earlier, later in pairwise(times))


def test_equal_times_move_as_little_as_they_must():
    assert separate([9, 5, 5, 5, 2]) == [9, 5, 4, 3, 2]
    assert separate([9, 1, 1, 0, 0]) == [9, 3, 2, 1, 0]
    assert separate([9, 7, 3]) == [9, 7, 3]
