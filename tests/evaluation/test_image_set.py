from dataclasses import replace

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet


def build(dtype=torch.uint8):
    pixels = torch.arange(4 * 2 * 3 * 3).view(4, 2, 3, 3).to(dtype)
    names = ("a", "b", "c", "d")
    return ImageSet("some", pixels, torch.tensor([0, 1, 1, 0]), ("x", "y"), names)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_a_selection_keeps_pixels_labels_and_names_together(dtype):
    images = build(dtype)
    for index in (torch.tensor([3, 1]), torch.tensor([False, True, False, True])):
        chosen = images.select(index)
        assert chosen.pixels.dtype == dtype
        assert [images.names.index(name) for name in chosen.names] == [
            (int(pixels.flatten()[0]) // 18) for pixels in chosen.pixels
        ]
        assert chosen.labels.tolist() == [int(name == "b") for name in chosen.names]
    assert images.of_class(1).names == ("b", "c")
    assert len(images.select(torch.tensor([], dtype=torch.int64))) == 0


def test_the_digest_is_that_of_pixels_labels_and_classes():
    images = build()
    assert images.digest == replace(build(), name="other", names=()).digest
    changed = images.pixels.clone()
    changed[0, 0, 0, 0] ^= 1
    others = [
        replace(images, pixels=changed),
        replace(images, labels=images.labels.flip(0).roll(1)),
        replace(images, classes=("x", "z")),
        replace(images, pixels=images.pixels.view(4, 1, 6, 3)),
        build(torch.uint16),
        replace(images, labels=None),
    ]
    assert len({images.digest, *(other.digest for other in others)}) == 7


def test_images_are_in_minus_one_to_one():
    assert build().images(1, 3).shape == (2, 2, 3, 3)
    levels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert ImageSet("ends", levels).images().flatten().tolist() == [-1, 1]


def test_one_class_is_none_to_tell_apart():
    assert build().has_classes
    assert not replace(build(), classes=("x",)).has_classes
    assert not replace(build(), labels=None).has_classes
