"""Trajectories of a fine sampler, the teacher."""

from itertools import pairwise

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.diffusion.solver_table import advance
from iddm_cli.diffusion.tuning.fine_sampler import (
    build_teacher,
    measure_error,
    record_trajectories,
    sample_end,
)
from iddm_cli.profiles.choices import SCHEDULES
from tests.diffusion.tuning.mixture import labels, mixture, noises


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("timesteps", "calls"), [(1000, 40), (60, 40), (40, 40), (3, 40), (2, 1)])
def test_a_teachers_times_fall_from_the_first_to_the_last(name, timesteps, calls):
    table = build_teacher(build_schedule(name, timesteps), calls)
    assert len(table) == min(calls, timesteps)
    assert table.times[0] == timesteps - 1
    assert all(later < earlier for earlier, later in pairwise(table.times))
    assert calls == 1 or table.times[-1] == 0
    assert not table.noisy_steps


def test_its_times_are_dense_at_both_ends():
    times = build_teacher(cosine_schedule(1000), 40).times
    gaps = [earlier - later for earlier, later in pairwise(times)]
    assert max(gaps[:4]) < max(gaps) / 2
    assert max(gaps[-4:]) < max(gaps) / 2


def test_states_are_those_between_the_steps():
    schedule = cosine_schedule(50)
    denoise, noise = mixture(schedule), noises(4)
    table = build_teacher(schedule, 6)
    recorded = record_trajectories(denoise, table, noise, labels(4))
    assert (len(recorded.states), len(recorded.denoised)) == (7, 6)
    assert torch.equal(recorded.states[0], noise)
    for k in range(6):
        earlier = recorded.denoised[:k][::-1]
        state, denoised = recorded.states[k], recorded.denoised[k]
        assert torch.equal(
            recorded.states[k + 1], advance(table.coefficients[k], state, denoised, earlier)
        )
    assert torch.equal(recorded.states[-1], sample_end(denoise, table, noise, labels(4)))


def test_errors_are_those_of_images_as_they_are_seen():
    assert measure_error(torch.tensor([3.0, 0.5]), torch.tensor([1.0, 0.0])) == pytest.approx(
        0.125**0.5
    )
