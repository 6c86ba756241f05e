"""The sampling loop: the times it visits, and what it asks of the network and of the noise."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iddm_cli.diffusion.guidance import guide
from iddm_cli.diffusion.lookup import build_schedule, find_solver
from iddm_cli.diffusion.sampling import sample, sampling_times
from iddm_cli.profiles.choices import SAMPLERS
from tests.diffusion.reference import LABEL, SHAPE


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 15, 20, 50, 333, 1000])
def test_the_times_are_their_trailing_ones(steps):
    theirs = DDIMScheduler(1000, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    assert sampling_times(1000, steps) == theirs.timesteps.tolist()


@given(st.integers(2, 1100).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t))))
@example((1000, 48))  # 1000 / 48 meets halves
@example((37, 22))
@example((1000, 112))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_times_fall_from_the_end_and_are_theirs_for_any_number_of_steps(case):
    timesteps, steps = case
    times = sampling_times(timesteps, steps)
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
    assert sampling_times(timesteps, steps) == [round(place) - 1 for place in exact]


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("name", SAMPLERS)
def test_each_step_asks_the_network_once_at_its_own_time(name, weight):
    asked = []

    def network(x_t, t, label):
        asked.append((len(x_t), t.unique().tolist()))
        return 0.1 * x_t

    times = sampling_times(100, 7)
    sample(
        guide(network, weight, no_label=4),
        find_solver(name)(build_schedule("cosine", 100), times),
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=lambda k: torch.ones(SHAPE),
    )
    images = SHAPE[0] if weight == 1 else 2 * SHAPE[0]
    assert asked == [(images, [t]) for t in times]


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2m"])
def test_deterministic_samplers_draw_no_noise(name):
    def refuses(k):
        raise AssertionError("asked for noise")

    sample(
        lambda x_t, t, label: 0.1 * x_t,
        find_solver(name)(build_schedule("cosine", 100), [99, 50, 1]),
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=refuses,
    )
