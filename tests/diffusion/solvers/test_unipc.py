"""UniPC, compared with diffusers' scheduler."""

import pytest
from diffusers import UniPCMultistepScheduler

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.solvers.unipc import unipc
from tests.diffusion.reference import (
    SHARED_PREDICTIONS,
    SHARED_SCHEDULES,
    Network,
    assert_same_trajectory,
    fixed_grid,
    their_settings,
    visit,
    visit_theirs,
)


@pytest.mark.parametrize("prediction", SHARED_PREDICTIONS)
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("calls", [1, 3, 10, 20])
def test_it_takes_their_steps(calls, order, name, prediction, noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    theirs = UniPCMultistepScheduler(**their_settings(name, prediction, None), solver_order=order)
    theirs.set_timesteps(calls)
    table = unipc(schedule, fixed_grid(theirs.timesteps.tolist()), calls, order=order)
    wanted = visit_theirs(theirs, network, noises[-1])
    assert_same_trajectory(visit(table, network, noises), wanted)
    assert table.history <= order
