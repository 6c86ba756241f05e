"""The samplers: whole loops against diffusers, the times they visit, and what they ask."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iddm_cli.diffusion.denoiser import clipped
from iddm_cli.diffusion.guidance import guided, guided_each
from iddm_cli.diffusion.samplers import SAMPLERS, advance, ddim, sample, sampling_times, usual_steps
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule
from tests.diffusion.test_against_diffusers import SHAPE, Network, double_precision
from tests.diffusion.test_against_diffusers import ours as schedule_of
from tests.diffusion.test_against_diffusers import settings as their_settings

LABEL = torch.zeros(SHAPE[0], dtype=torch.int64)


@pytest.fixture(scope="module")
def noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [20, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddpm_walks_their_whole_way(name, steps, prediction, clip, noises, monkeypatch):
    schedule = schedule_of(name)
    network = Network(schedule, prediction)
    # fixed_small is the variance that DDPM calls beta-tilde; trailing is our spacing.
    theirs = DDPMScheduler(**their_settings(name, prediction, clip), variance_type="fixed_small")
    double_precision(theirs).set_timesteps(steps)
    drawn = iter(noises)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(drawn).double()
    )
    x_t = noises[-1].double()
    for t in theirs.timesteps.tolist():
        x_t = theirs.step(network.out(x_t, t), t, x_t).prev_sample
    found = sample(
        clipped(network.denoise) if clip else network.denoise,
        SAMPLERS["ddpm"](schedule, sampling_times(1000, steps)),
        noise=noises[-1],
        label=LABEL,
        noise_at=lambda k: noises[k],
    )
    # A thousand steps round a thousand times; without clipping, estimates from epsilon grow by
    # 1 / alpha, to tens of thousands, and rounding with them.
    tolerance = 1e-5 if steps == 20 else 3e-5
    if prediction == "epsilon" and not clip:
        tolerance = 1e-3
    torch.testing.assert_close(found, x_t.float(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim_walks_their_whole_way_over_all_times(name, prediction, eta, noises):
    schedule = schedule_of(name)
    network = Network(schedule, prediction)
    # set_alpha_to_one is our clean end at t = -1: the last step returns the estimate.
    theirs = DDIMScheduler(**their_settings(name, prediction, True), set_alpha_to_one=True)
    double_precision(theirs).set_timesteps(1000)
    x_t = noises[-1].double()
    for k, t in enumerate(theirs.timesteps.tolist()):
        x_t = theirs.step(
            network.out(x_t, t), t, x_t, eta=eta, variance_noise=noises[k].double(),
            use_clipped_model_output=True,
        ).prev_sample  # fmt: skip
    found = sample(
        clipped(network.denoise),
        ddim(schedule, sampling_times(1000, 1000), eta=eta),
        noise=noises[-1],
        label=LABEL,
        noise_at=lambda k: noises[k],
    )
    torch.testing.assert_close(found, x_t.float(), atol=3e-5, rtol=3e-5)


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


def test_nobody_takes_more_steps_than_there_are_times():
    assert [usual_steps(name, 1000) for name in ("ddim", "dpmpp-2m", "ddpm")] == [20, 20, 1000]
    assert [usual_steps(name, 5) for name in ("ddim", "dpmpp-2m", "ddpm")] == [5, 5, 5]


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("name", SAMPLERS)
def test_each_step_asks_the_network_once_at_its_own_time(name, weight):
    asked = []

    def network(x_t, t, label):
        asked.append((len(x_t), t.unique().tolist()))
        return 0.1 * x_t

    times = sampling_times(100, 7)
    sample(
        guided(network, weight, no_label=4),
        SAMPLERS[name](NoiseSchedule(SCHEDULES["cosine"](100)), times),
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=lambda k: torch.ones(SHAPE),
    )
    pictures = SHAPE[0] if weight == 1 else 2 * SHAPE[0]
    assert asked == [(pictures, [t]) for t in times]


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2m"])
def test_deterministic_samplers_draw_no_noise(name):
    def refuses(k):
        raise AssertionError("asked for noise")

    sample(
        lambda x_t, t, label: 0.1 * x_t,
        SAMPLERS[name](NoiseSchedule(SCHEDULES["cosine"](100)), [99, 50, 1]),
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=refuses,
    )


def test_pictures_at_different_steps_of_different_samplers_advance_as_one_batch():
    schedule = NoiseSchedule(SCHEDULES["linear"](100))
    tables = [SAMPLERS["dpmpp-2m"](schedule, [99, 60, 3]), ddim(schedule, [99, 9], eta=0.5)]
    generator = torch.Generator().manual_seed(4)
    x_t, estimate, before = torch.randn(3, 2, *SHAPE[1:], generator=generator)
    rows = torch.stack([tables[0].weights[1], tables[1].weights[0]])
    together = advance(rows, x_t, estimate, before)
    apart = [advance(rows[i], x_t[i], estimate[i], before[i]) for i in range(2)]
    assert torch.equal(together, torch.stack(apart))
    keep, take, back, fresh = rows[0].tolist()
    torch.testing.assert_close(together[0], keep * x_t[0] + take * estimate[0] + back * before[0])
    assert (back < 0, fresh) == (True, 0), "the first is in the middle of its steps"
    assert rows[1, 3] > 0, "the other adds noise"


@pytest.mark.parametrize("weight", [2.0, 0.0, 1.0])
def test_each_picture_may_have_its_own_guidance_and_asks_twice_only_if_it_has(weight):
    asked = []

    def network(x_t, t, label):
        asked.append(label.tolist())
        return (1 + label.float()).view(-1, 1, 1, 1) * x_t

    x_t, t = torch.ones(SHAPE), torch.zeros(2, dtype=torch.int64)
    label = torch.tensor([0, 2])
    own = guided_each(network, torch.tensor([5.0, weight]), no_label=4)(x_t, t, label)
    assert asked == [[0, 2, 4, *([4] if weight != 1 else [])]]
    for i, each in enumerate((5.0, weight)):
        alone = guided(network, each, no_label=4)(x_t, t, label)
        assert torch.equal(own[i], alone[i])
