"""Laws of the mathematics: of schedules, predictions, guidance, and samplers on exact Gaussians."""

import pytest
import torch

from iddm_cli.diffusion import samplers
from iddm_cli.diffusion.denoiser import PREDICTIONS, Denoiser, clipped, min_snr_weight
from iddm_cli.diffusion.guidance import guided
from iddm_cli.diffusion.samplers import SAMPLERS, ddim, sampling_times
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule

MEAN, SPREAD = 0.3, 0.4


@pytest.fixture(params=[(name, T) for name in SCHEDULES for T in (2, 10, 100, 1000)], ids=str)
def schedule(request) -> NoiseSchedule:
    name, timesteps = request.param
    return NoiseSchedule(SCHEDULES[name](timesteps))


def test_snr_falls_with_t(schedule):
    snr = schedule.snr(torch.arange(len(schedule))).flatten()
    assert (snr.diff() < 0).all()


def test_variance_is_preserved(schedule):
    total = schedule.alpha**2 + schedule.sigma**2
    torch.testing.assert_close(total, torch.ones(len(schedule)))


def test_the_end_is_almost_noise_and_the_clean_end_is_clean(schedule):
    assert schedule.alpha[-1] < 0.2
    alpha, sigma = schedule.at(torch.tensor([-1, 0]))
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha[1], sigma[1]) == (schedule.alpha[0], schedule.sigma[0])
    torch.testing.assert_close(schedule.log_alpha.exp().float(), schedule.alpha)


@pytest.fixture
def mixed():
    """A schedule, clean pictures of unit variance, noise, and times."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 64, 1, 8, 8, generator=generator)
    return NoiseSchedule(SCHEDULES["cosine"](1000)), x, noise, torch.arange(64) * 15


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_right_answer_of_a_backbone_is_the_right_estimate(prediction, mixed):
    schedule, x, noise, t = mixed
    target, to_x = PREDICTIONS[prediction]
    alpha, sigma = schedule.at(t)
    right = target(x, noise, alpha, sigma)
    torch.testing.assert_close(
        to_x(right, alpha * x + sigma * noise, alpha, sigma), x, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_targets_have_unit_variance(prediction, mixed):
    schedule, x, noise, t = mixed
    target = PREDICTIONS[prediction][0](x, noise, *schedule.at(t))
    assert target.var() == pytest.approx(1, abs=0.05)


class Says(torch.nn.Module):
    """A backbone that always gives the same answer, and notes what it was asked."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x_t, t, label):
        self.asked = x_t, t, label
        return self.answer


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_the_mean_squared_error_of_what_is_predicted(prediction, mixed):
    schedule, x, noise, t = mixed
    right = PREDICTIONS[prediction][0](x, noise, *schedule.at(t))
    backbone = Says(right)
    denoiser = Denoiser(backbone, schedule, prediction=prediction)
    label = torch.zeros(64, dtype=torch.int64)
    assert not denoiser.loss(x, t, noise, label).any()
    alpha, sigma = schedule.at(t)
    torch.testing.assert_close(backbone.asked[0], alpha * x + sigma * noise)
    backbone.answer = right + 0.5
    torch.testing.assert_close(denoiser.loss(x, t, noise, label), torch.full((64,), 0.25))


def test_min_snr_weights_are_the_papers():
    # arXiv:2303.09556, section 3.4, gamma = 5: min(snr, 5) / snr for epsilon, / (snr + 1) for v.
    snr = torch.tensor([0.01, 1.0, 5.0, 50.0])
    weights = {name: min_snr_weight(snr, name).tolist() for name in PREDICTIONS}
    assert weights["epsilon"] == pytest.approx([1, 1, 1, 0.1])
    assert weights["v"] == pytest.approx([0.01 / 1.01, 0.5, 5 / 6, 5 / 51])
    assert weights["x"] == pytest.approx([0.01, 1, 5, 5])


def test_min_snr_weighs_the_same_error_of_x_the_same_in_every_prediction(mixed):
    schedule, x, noise, t = mixed
    label = torch.zeros(64, dtype=torch.int64)
    alpha, sigma = schedule.at(t)
    losses = []
    # An estimate of x that is off by 0.1 everywhere, said in each prediction's terms.
    for prediction, off in (("x", 0.1), ("epsilon", -0.1 * alpha / sigma), ("v", -0.1 / sigma)):
        right = PREDICTIONS[prediction][0](x, noise, alpha, sigma)
        denoiser = Denoiser(
            Says(right + off), schedule, prediction=prediction, loss_weight="min_snr"
        )
        losses.append(denoiser.loss(x, t, noise, label))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(losses[2], losses[0], rtol=1e-3, atol=1e-6)


class Counting:
    """A denoiser whose estimate is its label, and which counts its calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, x_t, t, label):
        self.sizes.append(len(x_t))
        return label.float().view(-1, 1, 1, 1).expand_as(x_t) + 0 * t.view(-1, 1, 1, 1)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0, 7.5])
def test_guidance_is_uncond_plus_weight_times_the_difference_in_one_call(weight):
    plain = Counting()
    x_t, t = torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    estimate = guided(plain, weight, no_label=10)(x_t, t, torch.tensor([3, 4]))
    wanted = [10 + weight * (label - 10) for label in (3, 4)]
    assert estimate[:, 0, 0, 0].tolist() == wanted
    assert plain.sizes == [4], "both halves in one batch"


def test_guidance_of_one_is_no_guidance_and_costs_nothing():
    plain = Counting()
    assert guided(plain, 1, no_label=10) is plain


def test_clipping_holds_estimates_in_range():
    estimate = clipped(lambda x_t, t, label: 3 * x_t)(
        torch.tensor([-1.0, -0.1, 0.2, 1.0]), None, None
    )
    torch.testing.assert_close(estimate, torch.tensor([-1.0, -0.3, 0.6, 1.0]))


def gaussian(schedule: NoiseSchedule):
    """The exact denoiser for pictures whose pixels are all N(MEAN, SPREAD^2)."""

    def denoise(x_t, t, label):
        alpha, sigma = schedule.at(t)
        gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        return MEAN + gain * (x_t - alpha * MEAN)

    return denoise


def sample(sampler, steps: int, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(4, 1, 64, 64, generator=generator)
    x = samplers.sample(
        gaussian(schedule),
        sampler(schedule, sampling_times(1000, steps)),
        noise=noise,
        label=torch.zeros(4, dtype=torch.int64),
        noise_at=lambda k: torch.randn(noise.shape, generator=generator),
    )
    return x, noise


@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize(("name", "steps"), [("ddim", 250), ("ddpm", 1000), ("dpmpp-2m", 50)])
def test_exact_gaussians_come_out_with_their_mean_and_spread(name, steps, schedule_name):
    schedule = NoiseSchedule(SCHEDULES[schedule_name](1000))
    x, _ = sample(SAMPLERS[name], steps, schedule)
    assert x.mean() == pytest.approx(MEAN, abs=0.02)
    assert x.std() == pytest.approx(SPREAD, rel=0.05)


def test_the_multistep_solver_is_nearer_the_exact_flow_at_ten_steps():
    schedule = NoiseSchedule(SCHEDULES["cosine"](1000))

    def distance(sampler) -> float:
        x, noise = sample(sampler, 10, schedule)
        # The probability flow maps a Gaussian's quantiles onto its noise's.
        return float((x - (MEAN + SPREAD * noise)).abs().mean())

    assert distance(SAMPLERS["dpmpp-2m"]) < 0.5 * distance(ddim)


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_is_the_first_estimate(name):
    schedule = NoiseSchedule(SCHEDULES["cosine"](1000))
    x, noise = sample(SAMPLERS[name], 1, schedule)
    t, label = torch.full((4,), 999), torch.zeros(4)
    torch.testing.assert_close(x, gaussian(schedule)(noise, t, label))
