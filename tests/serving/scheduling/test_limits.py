"""Large images lower the number of images per request."""

from iddm_cli.serving.scheduling.limits import MAX_REQUEST_VALUES, Limits


def test_a_request_has_at_least_one_image_and_bounded_memory():
    limits = Limits(max_count=64)
    assert limits.max_images(3 * 8 * 16) == 64
    assert limits.max_images(MAX_REQUEST_VALUES // 5) == 5
    assert limits.max_images(2 * MAX_REQUEST_VALUES) == 1
