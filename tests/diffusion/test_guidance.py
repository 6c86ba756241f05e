"""Guidance, by the label or a weaker network: one setting for a batch, or one for each image."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.guidance import (
    SamplingNetworks,
    build_step_denoiser,
    find_guided_steps,
    guide,
    rescale_estimates,
)
from iddm_cli.diffusion.lookup import build_schedule, build_time_grid, find_solver
from iddm_cli.diffusion.sampling import sample
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
    share = (levels.sigma**2 / (levels.alpha**2 + levels.sigma**2)).sqrt()
    inside = (share >= 0.3) & (share <= 0.7)
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


def exact(schedule: NoiseSchedule, mean: float, spread: float):
    """Return the exact denoiser for images whose pixels are all N(mean, spread^2)."""

    def denoise(x_t, t, label):
        alpha, sigma = schedule.at(t)
        gain = alpha * spread**2 / (alpha**2 * spread**2 + sigma**2)
        return mean + gain * (x_t - alpha * mean)

    return denoise


@pytest.mark.parametrize("scale", [0.0, 1.5, 3.0])
def test_autoguidance_is_the_denoiser_of_the_density_that_the_paper_names(scale):
    """Its score is that of p_weaker * (p_main / p_weaker)^scale, by Tweedie (eq. 3 and 4)."""
    schedule = build_schedule("cosine", 1000)
    t = torch.tensor([3, 120, 300, 500, 700, 900])
    x_t = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(4))
    alpha, sigma = schedule.at(t)
    main, weaker = (0.4, 0.3), (-0.2, 0.6)
    scores = [
        (alpha * mean - x_t) / (alpha**2 * spread**2 + sigma**2) for mean, spread in (main, weaker)
    ]
    score = scores[1] + scale * (scores[0] - scores[1])
    wanted = (x_t + sigma**2 * score) / alpha
    guided = guide(exact(schedule, *main), scale, no_label=0, weaker=exact(schedule, *weaker))
    torch.testing.assert_close(guided(x_t, t, t), wanted, atol=2e-4, rtol=1e-4)


def test_autoguided_images_move_away_from_those_of_the_weaker_network():
    schedule = build_schedule("cosine", 1000)
    denoise = build_step_denoiser(
        SamplingNetworks(exact(schedule, 0.2, 0.1), 0, exact(schedule, -0.1, 0.1)), scale=2.0
    )
    noise = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    table = find_solver("ddim")(schedule, build_time_grid("trailing", schedule), 100)
    label = torch.zeros(64, dtype=torch.int64)
    x = sample(denoise, table, noise=noise, label=label, noise_at=lambda k: noise)
    assert x.mean() == pytest.approx(-0.1 + 2 * 0.3, abs=0.01)
    assert x.std() == pytest.approx(0.1, abs=0.01)


def test_the_weaker_network_gets_the_same_labels_and_only_the_guided_images():
    calls = []

    def network(name, gain):
        def denoise(x_t, t, label):
            calls.append((name, label.tolist()))
            return gain * x_t

        return denoise

    scale = torch.tensor([2.0, 3.0, 1.0, 0.5])
    label = torch.tensor([4, 2, 1, 0])  # 4 means no label: autoguidance does not need one
    networks = SamplingNetworks(network("main", 2.0), 4, network("weaker", 1.0))
    limited = networks.limit_scale(scale, label)
    guided = build_step_denoiser(networks, scale=limited, clip=False)
    x = guided(torch.ones(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64), label)
    assert calls == [("main", [4, 2, 1, 0]), ("weaker", [4, 2, 0])]
    assert x[:, 0, 0, 0].tolist() == [3.0, 4.0, 2.0, 1.5]


def test_without_a_weaker_network_images_without_a_label_are_not_guided():
    networks = SamplingNetworks(Counting(), no_label=4)
    assert networks.limit_scale(3.0, torch.tensor([4, 2])).tolist() == [1, 3]
    assert networks.limit_scale(torch.tensor([3.0, 1.0]), torch.tensor([2, 2])).tolist() == [3, 1]


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
def test_rescaling_is_that_of_diffusers(share):
    guiders = pytest.importorskip("diffusers.guiders.guider_utils")
    torch.manual_seed(0)
    plain, guided = torch.randn(3, 3, 6, 5), 3 * torch.randn(3, 3, 6, 5) + 0.4
    wanted = guiders.rescale_noise_cfg(guided, plain, guidance_rescale=share)
    torch.testing.assert_close(rescale_estimates(guided, plain, share), wanted)


def test_rescaled_guidance_has_the_contrast_of_the_estimate_with_the_label():
    torch.manual_seed(0)
    images = torch.randn(5, 2, 3, 6, 6)

    def network(x_t, t, label):
        return images[label, 0]

    t, label = torch.zeros(2, dtype=torch.int64), torch.tensor([1, 2])
    guided = guide(network, 5.0, no_label=4, rescale=1.0)(torch.zeros(2, 3, 6, 6), t, label)
    deviations = [guided.std(dim=(1, 2, 3)), images[label, 0].std(dim=(1, 2, 3))]
    torch.testing.assert_close(*deviations)


def test_rescaling_by_0_changes_no_bit_and_no_image_depends_on_others():
    torch.manual_seed(0)
    plain, guided = torch.randn(3, 3, 7, 5), 3 * torch.randn(3, 3, 7, 5)
    assert rescale_estimates(guided, plain, 0.0) is guided
    together = rescale_estimates(guided, plain, torch.tensor([0.0, 0.7, 1.0]))
    assert torch.equal(together[0], guided[0])
    for row, share in ((1, 0.7), (2, 1.0)):
        alone = rescale_estimates(guided[row : row + 1], plain[row : row + 1], share)
        torch.testing.assert_close(together[row], alone[0], atol=0, rtol=2e-7)
        again = rescale_estimates(
            guided[row : row + 1], plain[row : row + 1], torch.tensor([share])
        )
        assert torch.equal(together[row], again[0])


def test_an_image_of_one_colour_stays():
    flat = torch.full((1, 3, 4, 4), 2.0)
    assert torch.equal(rescale_estimates(flat, torch.randn(1, 3, 4, 4), 1.0), flat)


def test_each_image_may_have_its_own_settings():
    torch.manual_seed(0)
    images = 2 * torch.randn(5, 3, 6, 6)
    networks = SamplingNetworks(lambda x_t, t, label: images[label], no_label=4)
    x_t, t, label = torch.zeros(3, 3, 6, 6), torch.zeros(3, dtype=torch.int64), torch.arange(3)
    kinds = [(3.0, 0.0, 0.0), (2.0, 0.7, 0.9), (1.0, 0.7, 0.995)]
    scales, rescales, thresholds = zip(*kinds, strict=True)
    together = build_step_denoiser(
        networks,
        scale=torch.tensor(scales),
        rescale=torch.tensor(rescales),
        threshold=thresholds,
    )(x_t, t, label)
    for row, (scale, rescale, threshold) in enumerate(kinds):
        one = slice(row, row + 1)
        alone = build_step_denoiser(
            networks,
            scale=torch.tensor([scale]),
            rescale=torch.tensor([rescale]),
            threshold=threshold,
        )
        assert torch.equal(together[one], alone(x_t[one], t[one], label[one]))
