"""Prediction types: targets, the estimates that outputs imply, and the weight of their errors."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_schedule, find_prediction
from iddm_cli.diffusion.predictions import DATA_STD, min_snr_weight
from iddm_cli.profiles.choices import PREDICTIONS


@pytest.fixture
def mixed():
    """A schedule, clean images of unit variance, noise, and times."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 64, 1, 8, 8, generator=generator)
    return build_schedule("cosine", 1000), x, noise, torch.arange(64) * 15


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_right_answer_of_a_backbone_is_the_right_estimate(prediction, mixed):
    schedule, x, noise, t = mixed
    kind = find_prediction(prediction)
    alpha, sigma = schedule.at(t)
    right = kind.target(x, noise, alpha, sigma)
    torch.testing.assert_close(
        kind.to_x(right, alpha * x + sigma * noise, alpha, sigma), x, atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_targets_have_unit_variance(prediction, mixed):
    schedule, x, noise, t = mixed
    if prediction == "edm":
        x = DATA_STD * x
    target = find_prediction(prediction).target(x, noise, *schedule.at(t))
    wanted = 2 if prediction == "flow" else 1  # the difference of two
    assert target.var() == pytest.approx(wanted, abs=0.05 * wanted)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_errors_of_outputs_and_of_estimates_have_the_ratio_that_the_weights_assume(
    prediction, mixed
):
    schedule, x, noise, t = mixed
    kind, (alpha, sigma) = find_prediction(prediction), schedule.at(t)
    x_t = alpha * x + sigma * noise
    right = kind.target(x, noise, alpha, sigma)
    error = (kind.to_x(right + 0.1, x_t, alpha, sigma) - kind.to_x(right, x_t, alpha, sigma)) ** 2
    scaled = error * kind.error_scale(schedule.snr(t))
    torch.testing.assert_close(scaled, torch.full_like(scaled, 0.01), atol=2e-4, rtol=0)


def test_edm_is_the_preconditioning_of_the_paper(mixed):
    schedule, x, noise, t = mixed
    generator = torch.Generator().manual_seed(1)
    bias = torch.randn(x.shape, generator=generator)
    alpha, sigma = schedule.at(t)
    # Karras et al. 2022 (arXiv:2206.00364), table 1, for y = x + s * noise.
    s, y = sigma / alpha, x + sigma / alpha * noise
    c_skip = DATA_STD**2 / (s**2 + DATA_STD**2)
    c_out = s * DATA_STD / (s**2 + DATA_STD**2).sqrt()
    c_in = 1 / (s**2 + DATA_STD**2).sqrt()
    wanted = c_skip * y + c_out * torch.tanh(c_in * y + bias)

    class Backbone(torch.nn.Module):
        def forward(self, x_t, _t, _label):
            return torch.tanh(x_t + bias)

    denoiser = Denoiser(Backbone(), schedule, prediction="edm")
    label = torch.zeros(len(t), dtype=torch.int64)
    torch.testing.assert_close(
        denoiser(alpha * x + sigma * noise, t, label), wanted, atol=1e-4, rtol=1e-4
    )
    # Eq. 8: the loss is the squared error of x, weighted by 1 / c_out^2.
    loss = ((wanted - x) ** 2 / c_out**2).flatten(1).mean(1)
    torch.testing.assert_close(denoiser.loss(x, t, noise, label), loss, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_the_velocity_of_a_flow_has_one_meaning_at_every_scale(scale, mixed):
    schedule, x, noise, t = mixed
    kind, (alpha, sigma) = find_prediction("flow"), schedule.at(t)
    x_t = scale * (alpha * x + sigma * noise)
    found = kind.to_x(noise - x, x_t, scale * alpha, scale * sigma)
    torch.testing.assert_close(found, x, atol=1e-4, rtol=1e-4)


def test_min_snr_weights_are_the_papers():
    # arXiv:2303.09556, section 3.4, gamma = 5: min(snr, 5) / snr for epsilon, / (snr + 1) for v.
    snr = torch.tensor([0.01, 1.0, 5.0, 50.0])
    weights = {name: min_snr_weight(snr, find_prediction(name)).tolist() for name in PREDICTIONS}
    assert weights["epsilon"] == pytest.approx([1, 1, 1, 0.1])
    assert weights["v"] == pytest.approx([0.01 / 1.01, 0.5, 5 / 6, 5 / 51])
    assert weights["x"] == pytest.approx([0.01, 1, 5, 5])
