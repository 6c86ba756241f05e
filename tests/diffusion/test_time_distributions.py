"""Time distributions: their quantiles are those of the distributions that they are named after."""

import math

import pytest
import torch

from iddm_cli.diffusion.lookup import build_schedule, build_time_distribution

FRACTIONS = (torch.arange(20_000) + 0.5) / 20_000


def sample(name: str, schedule_name: str = "cosine", **settings: float) -> torch.Tensor:
    schedule = build_schedule(schedule_name, 1000)
    return build_time_distribution(name, schedule, **settings)(FRACTIONS)


def test_uniform_times_are_shares_of_the_schedule():
    assert (sample("uniform").bincount() == 20).all()


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (0.7, 0.5), (-1.0, 2.0)])
def test_logits_of_times_are_normal(mean, deviation):
    share = (sample("logit-normal", mean=mean, deviation=deviation).double() + 0.5) / 1000
    logit = (share / (1 - share)).log()
    inner = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
    wanted = torch.distributions.Normal(mean, deviation).icdf(inner)
    torch.testing.assert_close(logit.quantile(inner), wanted, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("schedule_name", ["cosine", "linear"])
def test_noise_levels_are_log_normal(schedule_name):
    t = sample("log-normal", schedule_name)
    alpha, sigma, _ = build_schedule(schedule_name, 1000).levels
    level = (sigma / alpha).log()[t]
    inner = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
    wanted = torch.distributions.Normal(-1.2, 1.2).icdf(inner)  # EDM, table 1
    torch.testing.assert_close(level.quantile(inner), wanted, atol=0.03, rtol=0)


def test_numbers_at_the_ends_give_times_of_the_schedule():
    for name in ("uniform", "logit-normal", "log-normal"):
        t = build_time_distribution(name, build_schedule("linear", 1000))(
            torch.tensor([0.0, math.nextafter(1.0, 0.0)])
        )
        assert 0 <= t[0] < 100 < t[1] <= 999
