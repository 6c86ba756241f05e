"""PLMS and iPNDM, compared with diffusers' schedulers."""

import pytest
import torch
from diffusers import IPNDMScheduler, PNDMScheduler

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid
from iddm_cli.diffusion.solvers.adams import ipndm, plms
from iddm_cli.diffusion.solvers.ddim import ddim
from tests.diffusion.reference import (
    SHARED_SCHEDULES,
    Network,
    assert_same_trajectory,
    double_precision,
    their_settings,
    visit,
    visit_theirs,
)


@pytest.mark.parametrize("name", ["linear", "sqrt_linear"])
@pytest.mark.parametrize("calls", [3, 6, 11, 21])
def test_plms_takes_their_steps(calls, name, noises):
    # Theirs extrapolates v itself where the network predicts v, which is not the paper's method.
    prediction = "epsilon"
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    theirs = PNDMScheduler(
        **their_settings(name, prediction, None), skip_prk_steps=True, set_alpha_to_one=True
    )
    double_precision(theirs).set_timesteps(calls - 1)
    table = plms(schedule, build_time_grid("trailing", schedule), calls)
    assert table.times == theirs.timesteps.tolist()
    wanted = visit_theirs(theirs, network, noises[-1].double())
    assert_same_trajectory(visit(table, network, noises), wanted)


class TheirImprovedPNDM(IPNDMScheduler):
    """Their scheduler at our times: it takes sigma of each step as "betas"."""

    def start(self, levels, times: list[int], order: int) -> None:
        self.set_timesteps(len(times))
        self.betas = torch.cat([levels.sigma[times], torch.zeros(1).double()])
        self.alphas = torch.cat([levels.alpha[times], torch.ones(1).double()])
        self.timesteps = torch.tensor(times)
        self.order = order

    def step(self, *args):
        self.ets = self.ets[1 - self.order :] if self.order > 1 else []
        return super().step(*args)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("calls", [1, 2, 10, 20])
def test_ipndm_takes_their_steps(calls, name, order, noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, "v")
    table = ipndm(schedule, build_time_grid("trailing", schedule), calls, order=order)
    theirs = TheirImprovedPNDM()
    theirs.start(schedule.levels, table.times, order)
    wanted = visit_theirs(theirs, network, noises[-1].double())
    assert_same_trajectory(visit(table, network, noises), wanted)


def test_of_first_order_it_is_ddim():
    schedule = build_schedule("cosine", 100)
    grid = build_time_grid("trailing", schedule)
    first = ipndm(schedule, grid, 9, order=1)
    assert first.history == 0
    torch.testing.assert_close(first.coefficients, ddim(schedule, grid, 9).coefficients)


def test_plms_has_no_room_for_a_second_step_with_two_calls():
    schedule = build_schedule("linear", 100)
    grid = build_time_grid("trailing", schedule)
    assert plms(schedule, grid, 2).times == [99, 49]
    assert plms(schedule, grid, 3).times == [99, 49, 49]
    assert plms(schedule, grid, 4).times == [99, 66, 66, 32]
    assert plms(schedule, grid, 6).history == 4


def test_plms_starts_from_almost_pure_noise_with_one_call():
    schedule = build_schedule("cosine", 1000)
    grid = build_time_grid("trailing", schedule)
    assert torch.equal(plms(schedule, grid, 6).coefficients, ipndm(schedule, grid, 6).coefficients)
