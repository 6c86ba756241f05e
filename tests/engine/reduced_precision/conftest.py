"""A small image generator of random weights."""

import pytest

from iddm_cli.engine.image_generator import ImageGenerator
from tests.engine.test_image_generator import build_image_generator


@pytest.fixture
def generator() -> ImageGenerator:
    return build_image_generator(steps=3)
