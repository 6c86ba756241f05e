"""The laws of windows: they agree, cover an image, and leave images of a batch alone."""

import itertools

import pytest
import torch

from iddm_cli.diffusion.windowed_denoiser import (
    WindowedDenoiser,
    WindowSettings,
    place_windows,
    weigh_window,
)

WINDOW = WindowSettings((8, 6), 0.5)


def denoise_each(x_t, t, label):
    """An estimate that depends on every pixel of a window, on its time and on its label."""
    mean = x_t.mean(dim=(2, 3), keepdim=True)
    return 0.5 * x_t + mean + 0.1 * t.view(-1, 1, 1, 1) - label.view(-1, 1, 1, 1)


def make_batch(count, height=20, width=17):
    x_t = torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))
    return x_t, torch.arange(count), torch.arange(count) % 2


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("size", [(8, 6), (8, 7), (20, 17), (31, 6)])
def test_windows_reach_every_border_and_share_at_least_the_overlap(size, overlap):
    settings = WindowSettings((8, 6), overlap)
    corners = place_windows(size, settings)
    for axis, length in enumerate(settings.size):
        starts = sorted({corner[axis] for corner in corners})
        assert starts[0] == 0
        assert starts[-1] == size[axis] - length
        assert all(
            length - (b - a) >= overlap * length - 1e-9 for a, b in itertools.pairwise(starts)
        )
    assert len(set(corners)) == len(corners)


def test_where_all_windows_agree_their_mean_is_what_each_says():
    x_t, t, label = make_batch(2)

    def scale(x_t, t, label):
        return 0.25 * x_t + t.view(-1, 1, 1, 1)

    estimate = WindowedDenoiser(scale, WINDOW)(x_t, t, label)
    torch.testing.assert_close(estimate, scale(x_t, t, label))


def test_an_image_of_one_window_is_what_the_network_says():
    x_t, t, label = make_batch(3, *WINDOW.size)
    estimate = WindowedDenoiser(denoise_each, WINDOW)(x_t, t, label)
    torch.testing.assert_close(estimate, denoise_each(x_t, t, label))


def test_a_pixel_is_the_weighted_mean_of_the_windows_that_cover_it():
    x_t, t, label = make_batch(1)
    estimate = WindowedDenoiser(denoise_each, WINDOW)(x_t, t, label)
    weight, (row, column) = weigh_window(WINDOW), (9, 8)
    total, weights = torch.zeros(3), 0.0
    for top, left in place_windows((20, 17), WINDOW):
        down, across = row - top, column - left
        if 0 <= down < 8 and 0 <= across < 6:
            window = x_t[:, :, top : top + 8, left : left + 6]
            total += weight[down, across] * denoise_each(window, t, label)[0, :, down, across]
            weights += weight[down, across]
    torch.testing.assert_close(estimate[0, :, row, column], total / weights)


def test_an_image_keeps_its_bits_whatever_else_is_in_its_batch():
    calls = []

    def depends_on_the_block(x_t, t, label):
        calls.append(len(x_t))
        return x_t + x_t.mean()  # as rounding may depend on a block, by far too much

    x_t, t, label = make_batch(3, 40, 40)
    windowed = WindowedDenoiser(depends_on_the_block, WINDOW, 5)
    together = windowed(x_t, t, label)
    alone = windowed(x_t[1:2], t[1:2], label[1:2])
    assert torch.equal(together[1:2], alone)
    assert max(calls) == 5


def test_weights_of_neighbours_add_up_to_one_where_they_share_exactly_the_overlap():
    weight = weigh_window(WindowSettings((8, 1), 0.5))[:, 0]
    torch.testing.assert_close(weight[4:] + weight[:4], torch.ones(4))
    assert weight.min() > 0
