"""Windows: distances at all shifts, against comparing one window after the other."""

import pytest
import torch

from iddm_cli.evaluation.neighbours.windows import (
    coarse_variants,
    coarse_vectors,
    largest_shift,
    middle_window,
    normalize_windows,
    shifted_distances,
    window_at,
    window_norms,
)
from tests.evaluation.planted import textures

SHAPES = [(1, 30, 30), (3, 26, 40), (2, 6, 6)]


def images(count, shape, seed=0):
    pixels = textures(count, side=64, channels=shape[0], seed=seed).float() / 127.5 - 1
    return pixels[:, :, : shape[1], : shape[2]]


@pytest.mark.parametrize(
    ("size", "expected"), [((30, 30), 2), ((23, 90), 1), ((12, 12), 1), ((11, 40), 0)]
)
def test_small_images_are_shifted_less(size, expected):
    assert largest_shift(torch.zeros(size)) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_the_nearest_window(shape):
    x, y = images(4, shape), images(5, shape, seed=1)
    span = range(2 * largest_shift(x) + 1)
    windows = [window_at(y, top, left) for top in span for left in span]
    middle = middle_window(x)
    every = [
        torch.cdist(normalize_windows(one, flat=0), normalize_windows(window, flat=0))
        for one in (middle, middle.flip(3))
        for window in windows
    ]
    found = shifted_distances(x, y[None].expand(4, -1, -1, -1, -1),
                              window_norms(y, flat=0)[None].expand(4, -1, -1), flat=0)  # fmt: skip
    torch.testing.assert_close(found, torch.stack(every).amin(0), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_coarse_variants_are_the_vectors_of_shifted_and_mirrored_images(shape):
    x = images(3, shape)
    variants = coarse_variants(x, flat=0)
    span = 2 * largest_shift(x) + 1
    assert variants.shape[1] == 2 * span**2
    middle = variants.shape[1] // 2 - 1
    torch.testing.assert_close(variants[:, middle], coarse_vectors(x, flat=0))
    torch.testing.assert_close(variants[:, middle + 1], coarse_vectors(x.flip(3), flat=0))


def test_brightness_and_contrast_do_not_matter_and_noise_is_not_amplified():
    x = images(3, (1, 30, 30))
    vectors = normalize_windows(x, flat=0.01)
    torch.testing.assert_close(vectors, normalize_windows(x * 0.5 + 0.2, flat=0.01))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert normalize_windows(x * 1e-3, flat=0.5).norm(dim=1).max() < 0.01
    assert normalize_windows(torch.zeros(1, 1, 9, 9), flat=0).equal(torch.zeros(1, 81))
