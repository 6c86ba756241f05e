"""Classifier-free guidance: one scale for a batch, or one for each image."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.guidance import find_guided_steps, guide
from iddm_cli.diffusion.lookup import build_schedule
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.profiles.choices import PREDICTIONS, SCHEDULES
from tests.diffusion.reference import SHAPE


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
    estimate = guide(plain, weight, no_label=10)(x_t, t, torch.tensor([3, 4]))
    wanted = [10 + weight * (label - 10) for label in (3, 4)]
    assert estimate[:, 0, 0, 0].tolist() == wanted
    assert plain.sizes == [4], "both halves in one batch"


def test_guidance_of_one_is_no_guidance_and_costs_nothing():
    plain = Counting()
    assert guide(plain, 1, no_label=10) is plain


@pytest.mark.parametrize("weight", [2.0, 0.0, 1.0])
def test_each_image_may_have_its_own_guidance_and_asks_twice_only_if_it_has(weight):
    asked = []

    def network(x_t, t, label):
        asked.append(label.tolist())
        return (1 + label.float()).view(-1, 1, 1, 1) * x_t

    x_t, t = torch.ones(SHAPE), torch.zeros(2, dtype=torch.int64)
    label = torch.tensor([0, 2])
    own = guide(network, torch.tensor([5.0, weight]), no_label=4)(x_t, t, label)
    assert asked == [[0, 2, 4, *([4] if weight != 1 else [])]]
    for i, each in enumerate((5.0, weight)):
        alone = guide(network, each, no_label=4)(x_t, t, label)
        assert torch.equal(own[i], alone[i])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_guiding_estimates_is_guiding_what_the_backbone_says(prediction):
    schedule = build_schedule("cosine", 1000)
    t = torch.tensor([3, 120, 300, 500, 700, 900])
    x_t = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(4))
    says = torch.randn(5, generator=torch.Generator().manual_seed(6))

    class ByLabel(torch.nn.Module):
        def forward(self, x_t, t, label):
            return says[label].view(-1, 1, 1, 1) * torch.cos(x_t)

    class Guided(torch.nn.Module):
        def forward(self, x_t, t, label):
            uncond = says[4] * torch.cos(x_t)
            return uncond + 2.5 * (says[label].view(-1, 1, 1, 1) * torch.cos(x_t) - uncond)

    label = torch.tensor([0, 1, 2, 3, 0, 1])
    outside = guide(Denoiser(ByLabel(), schedule, prediction=prediction), 2.5, no_label=4)
    inside = Denoiser(Guided(), schedule, prediction=prediction)
    torch.testing.assert_close(outside(x_t, t, label), inside(x_t, t, label), atol=1e-4, rtol=1e-4)


def test_a_batch_without_guided_images_costs_nothing_more():
    plain = Counting()
    assert guide(plain, torch.ones(3), no_label=10) is plain


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_whole_interval_guides_every_step_and_an_empty_one_none(name):
    schedule = build_schedule(name, 1000)
    times = list(range(999, -1, -1))
    assert all(find_guided_steps(schedule, times, [0, 1]))
    assert not any(find_guided_steps(schedule, times, [0, 0]))
    levels = schedule.levels_at(times)
    inside = (levels.sigma >= 0.3) & (levels.sigma <= 0.7)  # alpha^2 + sigma^2 is 1
    assert find_guided_steps(schedule, times, [0.3, 0.7]) == inside.tolist()
    assert 0 < inside.sum() < 1000


def test_the_noise_level_is_the_share_of_the_noise_in_schedules_that_keep_no_variance():
    # EDM's sigmas, divided by sqrt(1 + sigma^2) as the schedule asks: shares 0.1 to 0.99.
    sigma = torch.tensor([0.1, 0.5, 1.0, 2.0, 7.0], dtype=torch.float64)
    scale = (1 + sigma**2).sqrt()
    edm = NoiseSchedule(1 / scale, sigma / scale)
    straight = NoiseSchedule(1 / (1 + sigma), sigma / (1 + sigma))  # the same signal-to-noise ratio
    interval = [0.5 / 1.25**0.5 - 1e-9, 2.0 / 5**0.5 + 1e-9]  # the paper's sigma from 0.5 to 2
    for schedule in (edm, straight):
        found = find_guided_steps(schedule, [0, 1, 2, 3, 4], interval)
        assert found == [False, True, True, True, False]
