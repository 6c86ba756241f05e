"""Copies: rates beside the floor of held-out images, and the closest pairs."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.errors import DatasetError
from iddm_cli.evaluation import copies
from iddm_cli.evaluation.copies import SHOWN_PAIRS, find_copies
from iddm_cli.evaluation.image_set import ImageSet
from tests.evaluation.planted import CHANGES, textures

TRAINING = ImageSet("training images", textures(120))
HELD_OUT = ImageSet("held-out images", textures(60, seed=1))
NEW = textures(60, seed=2)
MIXED = ImageSet("generated images", torch.cat([NEW, CHANGES["everything"](TRAINING.pixels[:20])]))
NOTHING = TRAINING.select(torch.zeros(120, dtype=torch.bool))


class MeanFeatures:
    """Means of blocks of pixels in the place of a network's features."""

    def features(self, images, progress=None):
        return torch.nn.functional.adaptive_avg_pool2d(images.images(), 4).flatten(1)


def find(generated=MIXED, training=TRAINING, held_out=HELD_OUT):
    return find_copies(generated, training, held_out, MeanFeatures())


@pytest.fixture(scope="module")
def found():
    return find()


def test_the_rate_is_the_share_of_planted_copies_beside_that_of_held_out_images(found):
    assert found.is_copy.tolist() == [False] * 60 + [True] * 20
    assert found.in_pixels.value == pytest.approx(20 / 80)
    assert found.in_pixels.floor == 0
    assert 0.15 < found.in_pixels.low < 20 / 80 < found.in_pixels.high < 0.37
    assert found.in_pixels.count == 80


def test_in_features_copies_are_found_too_also_mirrored():
    planted = ImageSet("generated images", TRAINING.pixels[:20].flip(3))
    assert find(planted).in_features.value == 1
    assert find().in_features.floor <= 0.05


def test_held_out_images_that_are_copies_raise_the_floor():
    assert find(held_out=MIXED).in_pixels.floor == pytest.approx(20 / 80)


def test_the_closest_pairs_come_first_and_each_training_image_once(found):
    assert len(found.closest) == SHOWN_PAIRS
    copied = found.closest[:20]
    assert {(pair.generated, pair.training) for pair in copied} == {(60 + k, k) for k in range(20)}
    assert [pair.is_copy for pair in found.closest] == [True] * 20 + [False] * 4
    ratios = [pair.ratio for pair in found.closest]
    assert ratios == sorted(ratios)


def test_a_training_image_copied_many_times_does_not_fill_the_list():
    many = TRAINING.pixels[5].expand(SHOWN_PAIRS, -1, -1, -1)
    pairs = find(replace(MIXED, pixels=torch.cat([many, MIXED.pixels]))).closest
    assert sum(pair.training == 5 for pair in pairs) == 1
    only = find(replace(MIXED, pixels=many)).closest
    assert [pair.training for pair in only] == [5] * SHOWN_PAIRS


def test_flat_images_are_no_copies_in_features_either():
    flat = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    training = replace(TRAINING, pixels=torch.cat([TRAINING.pixels, flat[:1]]))
    found = find(replace(MIXED, pixels=flat), training)
    assert (found.in_pixels.value, found.in_features.value) == (0, 0)


def test_without_held_out_or_generated_images_there_is_no_floor_or_no_rate():
    assert find(held_out=NOTHING).in_pixels.floor is None
    empty = find(NOTHING)
    assert (empty.in_pixels.count, empty.closest) == (0, ())


def test_without_training_images_there_is_an_error():
    with pytest.raises(DatasetError, match="no training images"):
        find(training=NOTHING)


def test_a_large_held_out_part_is_sampled_alike_each_time(monkeypatch):
    monkeypatch.setattr(copies, "MOST_HELD_OUT", 30)
    some = find(held_out=MIXED)
    assert 0 < some.in_pixels.floor < 1
    assert find(held_out=MIXED).in_pixels == some.in_pixels


def test_deep_images_give_the_same_copies(found):
    deep = [
        replace(images, pixels=(images.pixels.int() * 257).to(torch.uint16))
        for images in (MIXED, TRAINING, HELD_OUT)
    ]
    assert find(*deep).is_copy.equal(found.is_copy)
