"""The denoiser: a backbone's output as an estimate of x, its loss, and clipping."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser, clip_estimates
from iddm_cli.diffusion.lookup import build_schedule, find_prediction
from iddm_cli.diffusion.schedules import NoiseSchedule, cosine_schedule
from iddm_cli.profiles.choices import PREDICTIONS
from tests.diffusion.reference import ConstantBackbone, edm, flow_matching


def angles(t: torch.Tensor, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    return schedule.alpha[t].view(-1, 1, 1, 1), schedule.sigma[t].view(-1, 1, 1, 1)


@pytest.fixture
def scene():
    """A schedule, images, their noise, times, and the noisy images."""
    generator = torch.Generator().manual_seed(4)
    x, noise = torch.randn(2, 6, 3, 4, 5, generator=generator)
    schedule = build_schedule("cosine", 1000)
    t = torch.tensor([3, 120, 300, 500, 700, 900])
    alpha, sigma = angles(t, schedule)
    return schedule, x, noise, t, alpha * x + sigma * noise


def right_answer(prediction, schedule, x, noise, t):
    """What a perfect backbone says, from the definitions in DDPM and in arXiv:2202.00512."""
    alpha, sigma = angles(t, schedule)
    # v is the derivative of x_t by the angle phi, where alpha = cos(phi) and sigma = sin(phi).
    answers = {"epsilon": noise, "x": x, "v": -sigma * x + alpha * noise, "flow": noise - x}
    if prediction == "edm":  # arXiv:2206.00364, eq. 8, with its data deviation of a half
        s, y = sigma / alpha, x + sigma / alpha * noise
        return (x - 0.25 / (s**2 + 0.25) * y) * (s**2 + 0.25).sqrt() / (s * 0.5)
    return answers[prediction]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_of_a_perfect_backbone_is_the_image(prediction, scene):
    schedule, x, noise, t, x_t = scene
    backbone = ConstantBackbone(right_answer(prediction, schedule, x, noise, t))
    denoiser = Denoiser(backbone, schedule, prediction=prediction)
    label = torch.arange(6)
    torch.testing.assert_close(denoiser(x_t, t, label), x, atol=1e-4, rtol=1e-4)
    assert (backbone.inputs[0] is x_t) == (prediction != "edm"), "EDM scales the input"
    assert backbone.inputs[1] is t
    assert backbone.inputs[2] is label


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_vanishes_only_for_a_perfect_backbone(prediction, scene):
    schedule, x, noise, t, _ = scene
    right = right_answer(prediction, schedule, x, noise, t)
    denoiser = Denoiser(ConstantBackbone(right), schedule, prediction=prediction)
    torch.testing.assert_close(denoiser.loss(x, t, noise, t), torch.zeros(6))
    for image in range(6):
        denoiser.backbone.output = right.clone()
        denoiser.backbone.output[image, 0, 0, 0] += 1
        wanted = torch.zeros(6)
        wanted[image] = 1 / (3 * 4 * 5)
        torch.testing.assert_close(denoiser.loss(x, t, noise, t), wanted)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_estimates_and_losses_are_float32_whatever_the_backbone_speaks(prediction, scene):
    schedule, x, noise, t, x_t = scene
    right = right_answer(prediction, schedule, x, noise, t)
    denoiser = Denoiser(ConstantBackbone(right.bfloat16()), schedule, prediction=prediction)
    assert denoiser(x_t, t, t).dtype == torch.float32
    loss = denoiser.loss(x, t, noise, t)
    assert loss.dtype == torch.float32
    assert (loss > 0).all(), "rounding to bf16 is an error that is seen"
    assert (loss < 1e-4).all()


@pytest.fixture
def mixed():
    """A schedule, clean images of unit variance, noise, and times."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 64, 1, 8, 8, generator=generator)
    return build_schedule("cosine", 1000), x, noise, torch.arange(64) * 15


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_the_mean_squared_error_of_what_is_predicted(prediction, mixed):
    schedule, x, noise, t = mixed
    right = find_prediction(prediction).target(x, noise, *schedule.at(t))
    backbone = ConstantBackbone(right)
    denoiser = Denoiser(backbone, schedule, prediction=prediction)
    label = torch.zeros(64, dtype=torch.int64)
    assert denoiser.loss(x, t, noise, label).max() < 1e-10
    alpha, sigma = schedule.at(t)
    if prediction != "edm":
        torch.testing.assert_close(backbone.inputs[0], alpha * x + sigma * noise)
    backbone.output = right + 0.5
    torch.testing.assert_close(denoiser.loss(x, t, noise, label), torch.full((64,), 0.25))


def test_min_snr_weighs_the_same_error_of_x_the_same_in_every_prediction(mixed):
    schedule, x, noise, t = mixed
    label = torch.zeros(64, dtype=torch.int64)
    alpha, sigma = schedule.at(t)
    losses = []
    # An estimate of x that is off by 0.1 everywhere, said in each prediction's terms.
    for prediction, off in (("x", 0.1), ("epsilon", -0.1 * alpha / sigma), ("v", -0.1 / sigma)):
        right = find_prediction(prediction).target(x, noise, alpha, sigma)
        denoiser = Denoiser(
            ConstantBackbone(right + off), schedule, prediction=prediction, loss_weight="min_snr"
        )
        losses.append(denoiser.loss(x, t, noise, label))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(losses[2], losses[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("make", [flow_matching, edm])
def test_a_perfect_backbone_denoises_on_any_schedule(make, prediction, mixed):
    _, x, noise, _ = mixed
    schedule, t = make(64), torch.arange(64)
    alpha, sigma = schedule.at(t)
    x_t = alpha * x + sigma * noise
    _, *levels = schedule.at_unit_variance(x_t, t)
    backbone = ConstantBackbone(find_prediction(prediction).target(x, noise, *levels))
    denoiser = Denoiser(backbone, schedule, prediction=prediction)
    label = torch.zeros(64, dtype=torch.int64)
    # Noise that is predicted to seven digits gives x to as many fewer as sigma / alpha has.
    torch.testing.assert_close(denoiser(x_t, t, label), x, atol=1e-4, rtol=1e-4)
    assert denoiser.loss(x, t, noise, label).max() < 1e-10


def test_clipping_holds_estimates_in_range():
    estimate = clip_estimates(lambda x_t, t, label: 3 * x_t)(
        torch.tensor([-1.0, -0.1, 0.2, 1.0]), None, None
    )
    torch.testing.assert_close(estimate, torch.tensor([-1.0, -0.3, 0.6, 1.0]))


class Recording(torch.nn.Module):
    """Returns the image's channels of what it is given, and remembers it all."""

    def forward(self, x_t, t, label):
        self.seen = x_t
        return x_t[:, :2]


def test_condition_channels_reach_the_backbone_as_they_are_and_have_no_estimate():
    backbone = Recording()
    denoiser = Denoiser(backbone, cosine_schedule(10), prediction="v", condition_channels=3)
    image, condition = torch.randn(2, 2, 4, 4), torch.randn(2, 3, 4, 4)
    t, label = torch.tensor([2, 7]), torch.zeros(2, dtype=torch.int64)
    estimate = denoiser(torch.cat([image, condition], 1), t, label)
    assert torch.equal(backbone.seen[:, 2:], condition)
    plain = Denoiser(Recording(), cosine_schedule(10), prediction="v")
    assert torch.equal(estimate, plain(image, t, label))

    noise = torch.randn(2, 2, 4, 4)
    loss = denoiser.loss(torch.cat([image, condition], 1), t, noise, label)
    assert torch.equal(backbone.seen[:, 2:], condition), "no noise is added to the condition"
    assert torch.equal(loss, plain.loss(image, t, noise, label))
    assert denoiser.around(Recording()).condition_channels == 3
