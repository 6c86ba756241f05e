"""Noise schedules: diffusers' tables, and laws that hold for any alpha and sigma."""

import math

import pytest
import torch
from diffusers import DDPMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.schedules import CLEAN, NoiseSchedule
from iddm_cli.profiles.choices import SCHEDULES
from tests.diffusion.reference import SHARED_SCHEDULES, edm, flow_matching, their_settings


@pytest.fixture(params=[(name, T) for name in SCHEDULES for T in (2, 10, 100, 1000)], ids=str)
def schedule(request) -> NoiseSchedule:
    name, timesteps = request.param
    return build_schedule(name, timesteps)


def test_snr_falls_with_t(schedule):
    snr = schedule.snr(torch.arange(len(schedule))).flatten()
    assert (snr.diff() < 0).all()


def test_variance_is_preserved_where_there_are_betas(schedule):
    total = schedule.alpha**2 + schedule.sigma**2
    is_one = bool(torch.isclose(total, torch.ones(len(schedule))).all())
    assert is_one == (schedule.betas is not None)


def test_the_end_is_almost_noise_and_the_clean_end_is_clean(schedule):
    assert schedule.alpha[-1] < 0.3
    alpha, sigma = schedule.at(torch.tensor([-1, 0]))
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha[1], sigma[1]) == (schedule.alpha[0], schedule.sigma[0])
    torch.testing.assert_close(schedule.levels.log_alpha.exp().float(), schedule.alpha)


def test_levels_are_the_tables_to_all_digits_and_the_clean_end_is_one_of_them(schedule):
    levels = schedule.levels_at([len(schedule) - 1, 0, CLEAN])
    assert levels.alpha.dtype == levels.sigma.dtype == torch.float64
    torch.testing.assert_close(levels.alpha[:2].float(), schedule.alpha[[-1, 0]], atol=0, rtol=0)
    torch.testing.assert_close(levels.sigma[:2].float(), schedule.sigma[[-1, 0]], atol=0, rtol=0)
    assert [table[2].item() for table in levels] == [1, 0, 0]
    assert levels.log_snr[2] == torch.inf


def test_tables_follow_the_network_and_their_double_precision_stays_on_the_cpu(schedule):
    moved = build_schedule("linear", 10).to("meta")
    assert moved.alpha.device.type == "meta"
    assert {table.device.type for table in moved.levels} == {"cpu"}
    assert not schedule.state_dict(), "a checkpoint holds weights alone"


@pytest.mark.parametrize("name", SHARED_SCHEDULES)
def test_the_tables_are_those_of_diffusers(name):
    theirs = DDPMScheduler(**their_settings(name, "epsilon", True)).alphas_cumprod
    schedule = build_schedule(name, 1000)
    torch.testing.assert_close(schedule.alpha**2, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(schedule.sigma**2, 1 - theirs, atol=1e-5, rtol=0)


def without_betas(schedule: NoiseSchedule) -> NoiseSchedule:
    """Return the same schedule, not known to preserve variance."""
    alpha, sigma, log_alpha = schedule.levels
    return NoiseSchedule(alpha, sigma, log_alpha=log_alpha)


def test_the_general_formula_for_added_variance_is_that_of_preserved_variance(schedule):
    if schedule.betas is None:
        return
    times = list(range(len(schedule) - 1, -1, -1))
    start, end = schedule.levels_at(times), schedule.levels_at([*times[1:], CLEAN])
    special = schedule.added_variance(start, end)
    general = without_betas(schedule).added_variance(start, end)
    torch.testing.assert_close(general, special, atol=0, rtol=1e-9)


@pytest.mark.parametrize("make", [flow_matching, edm])
def test_noise_added_step_by_step_amounts_to_the_noise_level(make):
    schedule = make(50)
    times = list(range(49, -1, -1))
    start, end = schedule.levels_at(times), schedule.levels_at([*times[1:], CLEAN])
    added = schedule.added_variance(start, end)
    variance = torch.zeros((), dtype=torch.float64)
    for k in reversed(range(50)):
        variance = variance * (start.alpha[k] / end.alpha[k]) ** 2 + added[k]
        torch.testing.assert_close(variance, start.sigma[k] ** 2)


def test_any_schedule_is_scaled_to_unit_variance():
    schedule, t = flow_matching(10), torch.arange(10)
    x_t = torch.randn(10, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    scaled, alpha, sigma = schedule.at_unit_variance(x_t, t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(10, 1, 1, 1))
    torch.testing.assert_close(alpha / sigma, torch.div(*schedule.at(t)))
    torch.testing.assert_close(x_t / scaled, (schedule.at(t)[0] / alpha).expand_as(x_t))


def test_where_variance_is_preserved_nothing_is_scaled(schedule):
    if schedule.betas is None:
        return
    t = torch.arange(len(schedule))
    x_t = torch.ones(len(schedule), 1, 1, 1)
    scaled, *levels = schedule.at_unit_variance(x_t, t)
    assert scaled is x_t
    assert all(torch.equal(a, b) for a, b in zip(levels, schedule.at(t), strict=True))


def test_edms_levels_are_those_of_diffusers():
    theirs = EDMEulerScheduler()
    theirs.set_timesteps(40)
    alpha, sigma, _ = build_schedule("edm", 40).levels
    # Theirs fall, and end in zero.
    wanted = theirs.sigmas[:-1].flip(0).double()
    torch.testing.assert_close(sigma / alpha, wanted, rtol=1e-5, atol=0)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(40, dtype=torch.float64))


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.5])
def test_a_flow_is_a_straight_line_and_its_shift_that_of_diffusers(shift):
    schedule = build_schedule("flow", 100, shift=shift)
    torch.testing.assert_close(
        schedule.levels.alpha + schedule.levels.sigma, torch.ones(100, dtype=torch.float64)
    )
    s = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(sigmas=s.flip(0).tolist())
    torch.testing.assert_close(
        schedule.levels.sigma, theirs.sigmas[:-1].flip(0).double(), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_shift_moves_the_log_snr_of_every_time_by_the_same(name):
    plain, shifted = build_schedule(name, 100), build_schedule(name, 100, shift=4.0)
    moved = plain.levels.log_snr - shifted.levels.log_snr
    torch.testing.assert_close(moved, torch.full_like(moved, 2 * math.log(4)))
    assert (shifted.betas is None) == (plain.betas is None)
    assert build_schedule(name, 100, shift=1.0).alpha.equal(plain.alpha)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "flow"])
def test_a_schedule_can_end_in_noise_as_in_diffusers(name):
    plain = build_schedule(name, 1000)
    schedule = build_schedule(name, 1000, zero_terminal_snr=True)
    betas = rescale_zero_terminal_snr(plain.betas)
    wanted = torch.cumprod(1 - betas, dim=0)
    found = schedule.levels.alpha**2
    torch.testing.assert_close(found[:-1], wanted[:-1], rtol=1e-6, atol=1e-9)
    assert found[-1] == pytest.approx(2**-24), "where diffusers puts it"
    torch.testing.assert_close(torch.cumprod(1 - schedule.betas, dim=0), found)
    assert schedule.levels.log_snr.isfinite().all()
