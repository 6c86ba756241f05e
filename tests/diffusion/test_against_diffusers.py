"""The schedules and samplers, held against diffusers' schedulers."""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from iddm_cli.diffusion.denoiser import PREDICTIONS, clipped
from iddm_cli.diffusion.samplers import SAMPLERS, ddim, dpmpp_2m, sample, sampling_times
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule

THEIRS = {"linear": "linear", "sqrt_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}
PREDICTION = {"epsilon": "epsilon", "v": "v_prediction", "x": "sample"}
SHAPE = (2, 3, 4, 4)


def ours(name: str) -> NoiseSchedule:
    return NoiseSchedule(SCHEDULES[name](1000))


def settings(name: str, prediction: str, clip: bool) -> dict:
    return {
        "num_train_timesteps": 1000,
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": THEIRS[name],
        "prediction_type": PREDICTION[prediction],
        "timestep_spacing": "trailing",
    } | ({"clip_sample": clip} if clip is not None else {})


def double_precision(theirs):
    """Let their formulas subtract neighbouring entries without losing four digits."""
    theirs.alphas_cumprod = torch.cumprod(1 - theirs.betas.double(), dim=0)
    return theirs


class Network:
    """A fixed function of x_t and t in place of a network, seen through both contracts."""

    def __init__(self, schedule: NoiseSchedule, prediction: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pattern = torch.randn(SHAPE, generator=generator)
        self.schedule = schedule
        self.to_x = PREDICTIONS[prediction][1]

    def out(self, x_t: torch.Tensor, t: int) -> torch.Tensor:
        return torch.tanh(0.7 * x_t + self.pattern * (1 + t / 1000))

    def denoise(self, x_t: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        alpha, sigma = self.schedule.at(t)
        return self.to_x(self.out(x_t, int(t[0])), x_t, alpha, sigma)


@pytest.fixture
def noises() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(SHAPE, generator=generator) for _ in range(1001)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_tables_are_theirs(name):
    theirs = DDPMScheduler(**settings(name, "epsilon", True)).alphas_cumprod
    schedule = ours(name)
    torch.testing.assert_close(schedule.alpha**2, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(schedule.sigma**2, 1 - theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 15, 20, 50, 333, 1000])
def test_the_times_are_their_trailing_ones(steps):
    theirs = DDIMScheduler(1000, timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    assert sampling_times(1000, steps) == theirs.timesteps.tolist()


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("eta", "steps"), [(0.0, 20), (0.7, 20), (1.0, 10)])
def test_ddim_takes_their_steps(name, prediction, clip, eta, steps, noises):
    schedule = ours(name)
    network = Network(schedule, prediction)
    theirs = double_precision(DDIMScheduler(**settings(name, prediction, clip)))
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
    denoise = clipped(network.denoise) if clip else network.denoise
    found = sample(
        denoise,
        ddim(schedule, sampling_times(1000, steps), eta=eta),
        noise=noises[-1],
        label=torch.zeros(2, dtype=torch.int64),
        noise_at=lambda k: noises[k],
    )
    # Without clipping, estimates of x from epsilon grow by 1 / alpha, and rounding with them.
    torch.testing.assert_close(found, x_t.float(), atol=1e-5, rtol=1e-5 if clip else 1e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [999, 500, 100, 1])
def test_one_ancestral_step_is_theirs(name, prediction, t, noises, monkeypatch):
    schedule = ours(name)
    network = Network(schedule, prediction)
    theirs = DDPMScheduler(**settings(name, prediction, True), variance_type="fixed_small")
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *_, **__: noises[0]
    )
    double_precision(theirs)
    out, x_t = network.out(noises[-1], t).double(), noises[-1].double()
    wanted = theirs.step(out, t, x_t).prev_sample.float()
    # Two times, of which the second one's estimate is x_t itself: the first step's result.
    label = torch.zeros(2, dtype=torch.int64)

    def first_step_only(x_t, time, label):
        return clipped(network.denoise)(x_t, time, label) if int(time[0]) == t else x_t

    found = sample(
        first_step_only,
        SAMPLERS["ddpm"](schedule, [t, t - 1]),
        noise=noises[-1],
        label=label,
        noise_at=lambda k: noises[k],
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [5, 10, 20])
def test_dpmpp_2m_takes_their_steps(name, prediction, steps, noises):
    schedule = ours(name)
    network = Network(schedule, prediction)
    # final_sigmas_type="zero" makes the last step return the estimate; theirs makes it of first
    # order then, and lower_order_final has nothing left to do.
    theirs = DPMSolverMultistepScheduler(
        **settings(name, prediction, None),
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        lower_order_final=False,
        euler_at_final=True,
    )
    theirs.set_timesteps(steps)
    x_t = noises[-1]
    for t in theirs.timesteps.tolist():
        x_t = theirs.step(network.out(x_t, t), t, x_t).prev_sample
    found = sample(
        network.denoise,
        dpmpp_2m(schedule, theirs.timesteps.tolist()),
        noise=noises[-1],
        label=torch.zeros(2, dtype=torch.int64),
        noise_at=lambda k: noises[k],
    )
    torch.testing.assert_close(found, x_t, atol=1e-4, rtol=1e-3)
