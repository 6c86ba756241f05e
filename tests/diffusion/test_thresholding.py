"""Dynamic thresholding against torch.quantile and diffusers; an image alone decides its limit."""

import pytest
import torch

from iddm_cli.diffusion.thresholding import bound_estimates, find_quantiles, threshold_images

SHARES = (0.0, 0.3, 0.5, 0.9, 0.995, 1.0)


def estimates(count: int = 4, channels: int = 3) -> torch.Tensor:
    """Return images, the first inside the pixel range and the others ever further outside."""
    noise = torch.randn(count, channels, 7, 5, generator=torch.Generator().manual_seed(1))
    return noise * torch.logspace(-1, 1, count).view(-1, 1, 1, 1)


def bound(x, threshold, *, clip=True):
    t = torch.zeros(len(x), dtype=torch.int64)
    return bound_estimates(lambda x_t, t, label: x_t, threshold, clip=clip)(x, t, t)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("channels", [1, 3])
def test_quantiles_are_those_of_torch(share, channels):
    values = estimates(channels=channels).flatten(1)
    wanted = torch.quantile(values, share, dim=1)
    torch.testing.assert_close(find_quantiles(values, share), wanted, atol=1e-5, rtol=1e-5)


def test_quantiles_of_one_value_are_it():
    assert find_quantiles(torch.tensor([[3.0]]), 0.995).tolist() == [3.0]


@pytest.mark.parametrize("share", [0.6, 0.95, 0.995])
def test_thresholding_is_that_of_diffusers(share):
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDIMScheduler(
        thresholding=True, dynamic_thresholding_ratio=share, sample_max_value=1e9
    )
    wanted = scheduler._threshold_sample(estimates())
    torch.testing.assert_close(threshold_images(estimates(), share), wanted, atol=1e-6, rtol=1e-5)


def test_images_inside_the_range_stay_and_others_fill_it():
    bounded = threshold_images(estimates(), 0.995)
    assert torch.equal(bounded[0], estimates()[0])
    assert bounded[1:].abs().amax(dim=(1, 2, 3)).tolist() == [1, 1, 1]
    clipped = estimates().clamp(-1, 1)
    assert (bounded[3].abs() == 1).sum() < 0.1 * (clipped[3].abs() == 1).sum()


@pytest.mark.parametrize("clip", [True, False])
def test_each_image_has_its_own_share_and_no_bit_depends_on_the_others(clip):
    shares = [0.0, 0.9, 0.0, 0.995]
    together = bound(estimates(), shares, clip=clip)
    for row, share in enumerate(shares):
        alone = bound(estimates()[row : row + 1], share, clip=clip)
        assert torch.equal(together[row], alone[0])


def test_without_a_share_estimates_are_clipped_or_left():
    assert torch.equal(bound(estimates(), 0.0), estimates().clamp(-1, 1))
    assert torch.equal(bound(estimates(), [0.0] * 4, clip=False), estimates())
