"""Reconstruction quality: means over images, and the one window that is worst."""

import pytest
import torch

from iddm_cli.evaluation.reconstruction_quality import measure_local_errors, measure_reconstruction

IMAGES = torch.zeros(3, 2, 20, 24)


def test_a_lost_detail_is_found_with_its_place_and_its_image():
    decoded = IMAGES.clone()
    decoded[1, :, 5:13, 9:17] = 1.0  # one window, half of the range
    decoded[2] += 0.1
    quality = measure_reconstruction(decoded, IMAGES, ["a", "b", "c"])
    assert (quality.worst, quality.position) == ("b", (5, 9))
    assert quality.local_error == pytest.approx(0.5)
    assert quality.images == 3
    assert quality.to_json()["worst_position"] == [5, 9]


def test_the_numbers_are_means_over_the_images():
    decoded = IMAGES.clone()
    decoded[:] = torch.tensor([0.2, 0.02, 0.02]).view(3, 1, 1, 1)
    quality = measure_reconstruction(decoded, IMAGES, ["a", "b", "c"])
    assert quality.psnr == pytest.approx((20 + 40 + 40) / 3, abs=1e-4)
    assert quality.ssim < 1
    assert quality.values.keys() == {"psnr", "ssim", "local_error"}


def test_what_lies_beyond_black_and_white_is_clipped():
    quality = measure_reconstruction(5 * torch.ones(1, 1, 9, 9), torch.ones(1, 1, 9, 9), ["a"])
    assert quality.local_error == 0


def test_an_image_that_is_smaller_than_a_window_is_one_window():
    errors, positions = measure_local_errors(torch.ones(2, 1, 4, 6), torch.zeros(2, 1, 4, 6))
    assert errors.tolist() == [0.5, 0.5]
    assert positions.tolist() == [[0, 0], [0, 0]]
