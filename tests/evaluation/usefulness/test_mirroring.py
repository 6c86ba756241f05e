"""Mirroring is allowed where a mirrored image still shows its class."""

import torch

from iddm_cli.evaluation.usefulness.classifier import reduce_pixels
from iddm_cli.evaluation.usefulness.mirroring import allows_mirroring
from tests.evaluation.usefulness.conftest import make_images


def test_stripes_across_and_down_may_be_mirrored():
    images = make_images("stripes", 20, seed=0, noise=0.1)
    images = images.select(images.labels < 2)
    assert allows_mirroring(reduce_pixels(images), images.labels)


def test_classes_that_are_mirror_images_of_each_other_may_not():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 9_000, (20, 1, 8, 8), generator=generator)
    pixels[:10, :, :, :2] += 40_000
    pixels[10:, :, :, 6:] += 40_000
    labels = torch.arange(2).repeat_interleave(10)
    assert not allows_mirroring(pixels.to(torch.uint16), labels)
    assert allows_mirroring(pixels.to(torch.uint16), torch.zeros_like(labels))


def test_an_image_is_not_its_own_neighbour():
    images = make_images("stripes", 3, seed=0)
    assert allows_mirroring(reduce_pixels(images), torch.arange(len(images)))
