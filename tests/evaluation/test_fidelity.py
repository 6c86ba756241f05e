import math

import numpy as np
import pytest
import torch

from iddm_cli.evaluation.fidelity import compute_psnr, compute_ssim

# By scikit-image 0.26: peak_signal_noise_ratio, and structural_similarity with Gaussian weights,
# sigma 1.5, no sample covariance, and the range of values 2.
KNOWN = {
    (1, 16, 16): (20.97998967521777, 0.927885215959997),
    (3, 24, 20): (21.07379477496531, 0.930942084868804),
    (1, 11, 40): (21.04274233790964, 0.9282107618108439),
}


def make_pair(shape):
    """Return an image and its reference, float64 [1, C, H, W]."""
    band, row, column = np.meshgrid(*map(np.arange, shape), indexing="ij")
    reference = np.sin(0.7 * row + 0.31 * column + band)
    image = 0.8 * reference + 0.15 * np.cos(1.3 * row - 0.9 * column + 2 * band)
    return tuple(torch.from_numpy(one)[None] for one in (image, reference))


@pytest.mark.parametrize("shape", KNOWN, ids=str)
def test_values_are_those_of_scikit_image(shape):
    image, reference = make_pair(shape)
    psnr, ssim = KNOWN[shape]
    assert float(compute_psnr(image, reference)) == pytest.approx(psnr, abs=1e-10)
    assert float(compute_ssim(image, reference)) == pytest.approx(ssim, abs=1e-12)


def test_values_are_those_of_the_installed_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    image, reference = make_pair((3, 24, 20))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim = metrics.structural_similarity(
        image[0].numpy(), reference[0].numpy(), data_range=2, channel_axis=0, **options
    )
    assert float(compute_ssim(image, reference)) == pytest.approx(ssim, abs=1e-10)


def test_an_image_equals_itself():
    image, _ = make_pair((3, 16, 16))
    assert float(compute_psnr(image, image)) == math.inf
    assert float(compute_ssim(image, image)) == pytest.approx(1, abs=1e-12)


def test_a_constant_error_has_the_psnr_of_its_size():
    image = torch.zeros(1, 1, 4, 4)
    assert float(compute_psnr(image, image + 0.02)) == pytest.approx(40, abs=1e-4)


def test_each_image_of_a_batch_is_measured_alone():
    first, second = make_pair((1, 16, 16))
    images, references = torch.cat([first, second]), torch.cat([second, second])
    for compute in (compute_psnr, compute_ssim):
        values = compute(images, references)
        assert values.shape == (2,) and values[0] < values[1]
        assert torch.equal(values[:1], compute(first, second))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 40), (3, 10, 9)], ids=str)
def test_images_smaller_than_the_window_are_measured(shape):
    image, reference = make_pair(shape)
    assert 0 < float(compute_ssim(image, reference)) < 1
    assert float(compute_ssim(reference, reference)) == pytest.approx(1, abs=1e-9)
