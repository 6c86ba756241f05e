"""Reduced images: their size, and that memory does not change them."""

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.neighbours import reduced_images
from iddm_cli.evaluation.neighbours.reduced_images import (
    ReducedImages,
    reduce_images,
    reduced_size,
)
from tests.evaluation.planted import textures


@pytest.mark.parametrize(
    ("size", "expected"),
    [((32, 32), (30, 30)), ((256, 256), (30, 30)), ((28, 28), (26, 26)), ((64, 256), (14, 62)),
     ((8, 8), (6, 6)), ((2, 3), (3, 3))],
)  # fmt: skip
def test_images_of_any_size_become_about_as_many_pixels(size, expected):
    assert reduced_size(*size) == expected
    pixels = torch.zeros(2, 3, *size, dtype=torch.uint8)
    assert reduce_images(ImageSet("images", pixels)).shape == (2, 3, *expected)


def test_a_pixel_is_the_mean_of_its_part():
    pixels = textures(1, side=64)
    expected = (pixels.float() / 127.5 - 1)[0, 0, :6, :6].mean()
    reduced = reduce_images(ImageSet("images", pixels))
    assert reduced[0, 0, 0, 0].item() == pytest.approx(expected.item(), abs=1e-5)


def test_chunks_and_images_not_kept_are_the_same(monkeypatch):
    images = ImageSet("images", textures(20))
    whole = ReducedImages(images)
    monkeypatch.setattr(reduced_images, "CHUNK_NUMBERS", 3 * 32 * 32)
    monkeypatch.setattr(reduced_images, "KEPT_NUMBERS", 0)
    parts = ReducedImages(images)
    index = torch.tensor([3, 19, 3])
    assert whole.kept is not None
    assert parts.kept is None
    assert parts.read(index).equal(whole.read(index))
    assert len(parts) == 20
