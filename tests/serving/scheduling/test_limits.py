"""Large images lower the number of images per request."""

from iddm_cli.serving.scheduling.limits import ALWAYS_UPSCALED, MAX_REQUEST_VALUES, Limits


def test_a_request_has_at_least_one_image_and_bounded_memory():
    limits = Limits(max_count=64)
    assert limits.max_images(3 * 8 * 16) == 64
    assert limits.max_images(MAX_REQUEST_VALUES // 5) == 5
    assert limits.max_images(2 * MAX_REQUEST_VALUES) == 1


def test_an_upscaled_image_takes_no_longer_than_a_full_batch():
    limits = Limits(max_batch=32)
    assert limits.max_upscaled_pixels((3, 128, 256)) == 32 * 128 * 256
    assert limits.max_upscaled_pixels((3, 8, 8)) == ALWAYS_UPSCALED
    assert limits.max_upscaled_pixels((16, 2048, 2048)) == MAX_REQUEST_VALUES // 16
