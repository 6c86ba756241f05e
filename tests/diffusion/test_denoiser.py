"""The denoiser: what a backbone says, turned into an estimate of x."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import PREDICTIONS, Denoiser
from iddm_cli.diffusion.guidance import guided
from iddm_cli.diffusion.schedules import SCHEDULES, NoiseSchedule
from tests.diffusion.test_laws import Says


def angles(t: torch.Tensor, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    return schedule.alpha[t].view(-1, 1, 1, 1), schedule.sigma[t].view(-1, 1, 1, 1)


@pytest.fixture
def scene():
    """A schedule, pictures, their noise, times, and the noisy pictures."""
    generator = torch.Generator().manual_seed(4)
    x, noise = torch.randn(2, 6, 3, 4, 5, generator=generator)
    schedule = NoiseSchedule(SCHEDULES["cosine"](1000))
    t = torch.tensor([3, 120, 300, 500, 700, 900])
    alpha, sigma = angles(t, schedule)
    return schedule, x, noise, t, alpha * x + sigma * noise


def right_answer(prediction, schedule, x, noise, t):
    """What a perfect backbone says, from the definitions in DDPM and in arXiv:2202.00512."""
    alpha, sigma = angles(t, schedule)
    # v is the derivative of x_t by the angle phi, where alpha = cos(phi) and sigma = sin(phi).
    return {"epsilon": noise, "x": x, "v": -sigma * x + alpha * noise}[prediction]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_of_a_perfect_backbone_is_the_picture(prediction, scene):
    schedule, x, noise, t, x_t = scene
    backbone = Says(right_answer(prediction, schedule, x, noise, t))
    denoiser = Denoiser(backbone, schedule, prediction=prediction)
    label = torch.arange(6)
    torch.testing.assert_close(denoiser(x_t, t, label), x, atol=1e-4, rtol=1e-4)
    assert backbone.asked[0] is x_t
    assert backbone.asked[1] is t
    assert backbone.asked[2] is label


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_vanishes_only_for_a_perfect_backbone(prediction, scene):
    schedule, x, noise, t, _ = scene
    right = right_answer(prediction, schedule, x, noise, t)
    denoiser = Denoiser(Says(right), schedule, prediction=prediction)
    torch.testing.assert_close(denoiser.loss(x, t, noise, t), torch.zeros(6))
    for picture in range(6):
        denoiser.backbone.answer = right.clone()
        denoiser.backbone.answer[picture, 0, 0, 0] += 1
        wanted = torch.zeros(6)
        wanted[picture] = 1 / (3 * 4 * 5)
        torch.testing.assert_close(denoiser.loss(x, t, noise, t), wanted)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_estimates_and_losses_are_float32_whatever_the_backbone_speaks(prediction, scene):
    schedule, x, noise, t, x_t = scene
    right = right_answer(prediction, schedule, x, noise, t)
    denoiser = Denoiser(Says(right.bfloat16()), schedule, prediction=prediction)
    assert denoiser(x_t, t, t).dtype == torch.float32
    loss = denoiser.loss(x, t, noise, t)
    assert loss.dtype == torch.float32
    assert (loss > 0).all(), "rounding to bf16 is an error that is seen"
    assert (loss < 1e-4).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_guiding_estimates_is_guiding_what_the_backbone_says(prediction, scene):
    schedule, _, _, t, x_t = scene
    says = torch.randn(5, generator=torch.Generator().manual_seed(6))

    class ByLabel(torch.nn.Module):
        def forward(self, x_t, t, label):
            return says[label].view(-1, 1, 1, 1) * torch.cos(x_t)

    class Guided(torch.nn.Module):
        def forward(self, x_t, t, label):
            uncond = says[4] * torch.cos(x_t)
            return uncond + 2.5 * (says[label].view(-1, 1, 1, 1) * torch.cos(x_t) - uncond)

    label = torch.tensor([0, 1, 2, 3, 0, 1])
    outside = guided(Denoiser(ByLabel(), schedule, prediction=prediction), 2.5, no_label=4)
    inside = Denoiser(Guided(), schedule, prediction=prediction)
    torch.testing.assert_close(outside(x_t, t, label), inside(x_t, t, label), atol=1e-4, rtol=1e-4)
