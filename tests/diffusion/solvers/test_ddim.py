"""DDIM and DDPM, compared with diffusers' schedulers."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from iddm_cli.diffusion.denoiser import clip_estimates
from iddm_cli.diffusion.lookup import build_schedule, build_time_grid
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.solvers.ddim import ddim, ddpm
from tests.diffusion.reference import (
    LABEL,
    SHARED_PREDICTIONS,
    SHARED_SCHEDULES,
    Network,
    double_precision,
    fixed_grid,
    their_settings,
)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("prediction", SHARED_PREDICTIONS)
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize(("eta", "steps"), [(0.0, 20), (0.7, 20), (1.0, 10)])
def test_ddim_takes_their_steps(name, prediction, clip, eta, steps, noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    theirs = double_precision(DDIMScheduler(**their_settings(name, prediction, clip)))
    theirs.set_timesteps(steps)
    x_t = noises[-1].double()
    for k, t in enumerate(theirs.timesteps.tolist()):
        step = theirs.step(
            network.out(x_t, t), t, x_t, eta=eta, variance_noise=noises[k].double(),
            # Ours derives the noise from the clipped estimate, as sampling must to stay on x_t.
            use_clipped_model_output=True,
        )  # fmt: skip
        # The last step has no noise left to add.
        x_t = step.prev_sample if t >= 1000 // steps else step.pred_original_sample
    denoise = clip_estimates(network.denoise) if clip else network.denoise
    found = sample(
        denoise,
        ddim(schedule, build_time_grid("trailing", schedule), steps, eta=eta),
        noise=noises[-1],
        label=torch.zeros(2, dtype=torch.int64),
        noise_at=lambda k: noises[k],
    )
    # Without clipping, estimates of x from epsilon grow by 1 / alpha, and rounding with them.
    torch.testing.assert_close(found, x_t.float(), atol=1e-5, rtol=1e-5 if clip else 1e-3)


@pytest.mark.parametrize("prediction", SHARED_PREDICTIONS)
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
@pytest.mark.parametrize("t", [999, 500, 100, 1])
def test_one_ancestral_step_is_theirs(name, prediction, t, noises, monkeypatch):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    theirs = DDPMScheduler(**their_settings(name, prediction, True), variance_type="fixed_small")
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noises[0]
    )
    double_precision(theirs)
    out, x_t = network.out(noises[-1], t).double(), noises[-1].double()
    wanted = theirs.step(out, t, x_t).prev_sample.float()
    # Two times, of which the second one's estimate is x_t itself: the first step's result.
    label = torch.zeros(2, dtype=torch.int64)

    def first_step_only(x_t, time, label):
        return clip_estimates(network.denoise)(x_t, time, label) if int(time[0]) == t else x_t

    found = sample(
        first_step_only,
        ddpm(schedule, fixed_grid([t, t - 1]), 2),
        noise=noises[-1],
        label=label,
        noise_at=lambda k: noises[k],
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [20, 1000])
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
def test_ddpm_walks_their_whole_way(name, steps, prediction, clip, other_noises, monkeypatch):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    # fixed_small is the variance that DDPM calls beta-tilde; trailing is our spacing.
    theirs = DDPMScheduler(**their_settings(name, prediction, clip), variance_type="fixed_small")
    double_precision(theirs).set_timesteps(steps)
    made = iter(other_noises)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: next(made).double()
    )
    x_t = other_noises[-1].double()
    for t in theirs.timesteps.tolist():
        x_t = theirs.step(network.out(x_t, t), t, x_t).prev_sample
    found = sample(
        clip_estimates(network.denoise) if clip else network.denoise,
        ddpm(schedule, build_time_grid("trailing", schedule), steps),
        noise=other_noises[-1],
        label=LABEL,
        noise_at=lambda k: other_noises[k],
    )
    # A thousand steps round a thousand times; without clipping, estimates from epsilon grow by
    # 1 / alpha, to tens of thousands, and rounding with them.
    tolerance = 1e-5 if steps == 20 else 3e-5
    if prediction == "epsilon" and not clip:
        tolerance = 1e-3
    torch.testing.assert_close(found, x_t.float(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("name", SHARED_SCHEDULES)
def test_ddim_walks_their_whole_way_over_all_times(name, prediction, eta, other_noises):
    schedule = build_schedule(name, 1000)
    network = Network(schedule, prediction)
    # set_alpha_to_one is our clean end at t = -1: the last step returns the estimate.
    theirs = DDIMScheduler(**their_settings(name, prediction, True), set_alpha_to_one=True)
    double_precision(theirs).set_timesteps(1000)
    x_t = other_noises[-1].double()
    for k, t in enumerate(theirs.timesteps.tolist()):
        x_t = theirs.step(
            network.out(x_t, t), t, x_t, eta=eta, variance_noise=other_noises[k].double(),
            use_clipped_model_output=True,
        ).prev_sample  # fmt: skip
    found = sample(
        clip_estimates(network.denoise),
        ddim(schedule, build_time_grid("trailing", schedule), 1000, eta=eta),
        noise=other_noises[-1],
        label=LABEL,
        noise_at=lambda k: other_noises[k],
    )
    torch.testing.assert_close(found, x_t.float(), atol=3e-5, rtol=3e-5)
