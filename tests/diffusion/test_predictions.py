"""Prediction types: targets, the estimates that outputs imply, and the weight of their errors."""

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule, find_prediction
from iddm_cli.diffusion.predictions import min_snr_weight
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
    target = find_prediction(prediction).target(x, noise, *schedule.at(t))
    assert target.var() == pytest.approx(1, abs=0.05)


def test_min_snr_weights_are_the_papers():
    # arXiv:2303.09556, section 3.4, gamma = 5: min(snr, 5) / snr for epsilon, / (snr + 1) for v.
    snr = torch.tensor([0.01, 1.0, 5.0, 50.0])
    weights = {name: min_snr_weight(snr, find_prediction(name)).tolist() for name in PREDICTIONS}
    assert weights["epsilon"] == pytest.approx([1, 1, 1, 0.1])
    assert weights["v"] == pytest.approx([0.01 / 1.01, 0.5, 5 / 6, 5 / 51])
    assert weights["x"] == pytest.approx([0.01, 1, 5, 5])
