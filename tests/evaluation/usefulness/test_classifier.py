"""Classifiers: a function of images and seed, of as many updates as asked for."""

import pytest
import torch

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.usefulness import classifier
from iddm_cli.evaluation.usefulness.classifier import (
    TrainingImages,
    predict,
    reduce_pixels,
    train_classifier,
)
from tests.evaluation.usefulness.conftest import make_images

IMAGES = make_images("train", 3, seed=0)


def train(images: ImageSet = IMAGES, *, seed: int = 0, updates: int = 3, augment: bool = True):
    seen: list[int] = []
    training = TrainingImages(reduce_pixels(images), images.labels, 3, augment, augment)
    network = train_classifier(training, seed=seed, updates=updates, after_update=seen.append)
    return network, seen


def weights_of(network) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


def test_the_same_images_and_seed_give_the_same_bits(quick):
    quick(3)
    first, second, other = (weights_of(train(seed=seed)[0]) for seed in (4, 4, 5))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_every_training_set_makes_the_wanted_number_of_updates(quick):
    quick(3)
    few = IMAGES.select(torch.tensor([0, 4]))
    for images in (few, make_images("many", 50, seed=1)):
        assert train(images)[1] == [1, 2, 3]


def test_initial_weights_depend_on_the_seed_alone(quick, monkeypatch):
    quick(1)
    monkeypatch.setattr(classifier, "LEARNING_RATE", 1e-12)
    other = make_images("other", 9, seed=8)
    first, second = train(updates=1)[0], train(other, updates=1)[0]
    third = train(seed=1, updates=1)[0]
    assert torch.allclose(first.head.weight, second.head.weight, atol=1e-9)
    assert not torch.allclose(first.head.weight, third.head.weight, atol=1e-3)


def test_random_numbers_of_all_updates_are_those_of_each_one():
    uniform = classifier._tabulate_uniform(5, 3)
    slots = torch.arange(classifier.BATCH_SIZE)
    expected = classifier.randomness.uniform(5, "usefulness-flip", items=slots, step=2)
    assert torch.equal(uniform("flip", 2, slots), expected)
    orders = classifier._tabulate_orders(5, 3, 10)
    assert len(orders) == 20
    assert torch.equal(orders.sort(dim=1).values, torch.arange(10).expand(20, 10))
    assert len(orders.unique(dim=0)) == 20


def test_predictions_do_not_depend_on_the_batch(quick, monkeypatch):
    quick(3)
    network, pixels = train()[0], reduce_pixels(make_images("test", 5, seed=2))
    whole = predict(network, pixels)
    monkeypatch.setattr(classifier, "TEST_BATCH_SIZE", 4)
    assert torch.equal(predict(network, pixels), whole)


@pytest.mark.parametrize(("size", "reduced"), [((12, 10), (12, 10)), ((256, 64), (64, 16))])
def test_large_images_are_reduced_by_averaging(size, reduced):
    images = ImageSet("", torch.full((3, 2, *size), 51, dtype=torch.uint8))
    pixels = reduce_pixels(images)
    assert pixels.shape == (3, 2, *reduced)
    assert pixels.dtype == torch.uint16
    assert set(pixels.int().flatten().tolist()) == {51 * 257}


def test_images_of_16_bits_keep_their_levels():
    levels = torch.tensor([0, 1, 300, 40_000, 65_535]).to(torch.uint16).view(5, 1, 1, 1)
    assert torch.equal(reduce_pixels(ImageSet("", levels)), levels)
