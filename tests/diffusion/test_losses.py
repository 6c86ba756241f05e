"""Losses and the weights of noise levels, by the formulas of their papers."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.lookup import build_schedule, find_prediction
from iddm_cli.diffusion.losses import (
    HUBER_SCALE,
    LOSS_WEIGHTS,
    huber_error,
    min_snr_weight,
    p2_weight,
)
from iddm_cli.profiles.choices import PREDICTIONS
from tests.diffusion.reference import ConstantBackbone


def test_min_snr_weights_are_the_papers():
    # arXiv:2303.09556, section 3.4, gamma = 5: min(snr, 5) / snr for epsilon, / (snr + 1) for v.
    snr = torch.tensor([0.01, 1.0, 5.0, 50.0])
    weights = {name: min_snr_weight(snr, find_prediction(name)).tolist() for name in PREDICTIONS}
    assert weights["epsilon"] == pytest.approx([1, 1, 1, 0.1])
    assert weights["v"] == pytest.approx([0.01 / 1.01, 0.5, 5 / 6, 5 / 51])
    assert weights["x"] == pytest.approx([0.01, 1, 5, 5])


def test_p2_weights_are_the_papers():
    # arXiv:2204.00227, eq. 8, k = gamma = 1: the error of the noise times 1 / (1 + snr).
    snr = torch.tensor([0.01, 1.0, 5.0, 50.0])
    weights = {name: p2_weight(snr, find_prediction(name)) for name in PREDICTIONS}
    torch.testing.assert_close(weights["epsilon"], 1 / (1 + snr))
    torch.testing.assert_close(weights["v"], snr / (1 + snr) ** 2)
    torch.testing.assert_close(weights["x"], snr / (1 + snr))


@pytest.mark.parametrize("name", [name for name, weigh in LOSS_WEIGHTS.items() if weigh])
def test_a_weight_means_the_same_for_every_prediction(name):
    """The same error of x counts the same, whatever the backbone says it in."""
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 16, 1, 8, 8, generator=generator)
    schedule, t = build_schedule("cosine", 1000), torch.arange(16) * 60 + 5
    alpha, sigma = schedule.at(t)
    losses = []
    for prediction in PREDICTIONS:
        kind = find_prediction(prediction)
        right = kind.target(x, noise, alpha, sigma)
        off = 0.1 * kind.error_scale(schedule.snr(t)).sqrt()
        denoiser = Denoiser(
            ConstantBackbone(right + off), schedule, prediction=prediction, loss_weight=name
        )
        losses.append(denoiser.loss(x, t, noise, t))
    for loss in losses:
        torch.testing.assert_close(loss, losses[0], rtol=1e-3, atol=1e-7)


def test_a_pseudo_huber_loss_is_a_square_for_small_errors_and_a_line_for_large_ones():
    error = torch.tensor([1e-4, 1e-3, 10.0, 100.0], dtype=torch.float64)
    loss = huber_error(error)
    torch.testing.assert_close(loss[:2], error[:2] ** 2, rtol=1e-4, atol=0)
    line = 2 * HUBER_SCALE * (error[2:] - HUBER_SCALE)
    torch.testing.assert_close(loss[2:], line, rtol=1e-3, atol=0)
    # As diffusers' training scripts write it.
    theirs = 2 * HUBER_SCALE * ((error**2 + HUBER_SCALE**2).sqrt() - HUBER_SCALE)
    torch.testing.assert_close(loss, theirs)
    assert torch.equal(huber_error(-error), loss)


def test_a_denoiser_takes_its_loss():
    x, noise = torch.zeros(2, 1, 1, 4, 4)
    schedule, t = build_schedule("cosine", 1000), torch.tensor([500])
    denoiser = Denoiser(ConstantBackbone(noise + 3), schedule, prediction="epsilon", loss="huber")
    wanted = huber_error(torch.tensor([3.0]))
    for each in (denoiser, denoiser.around(ConstantBackbone(noise + 3))):
        torch.testing.assert_close(each.loss(x, t, noise, t), wanted)
