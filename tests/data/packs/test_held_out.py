"""The choice of held-out images: a function of the set of images, stable as the set grows."""

from itertools import pairwise

import numpy as np
import pytest

from iddm_cli.data.packs.held_out import (
    FEW,
    MIN_CLASS,
    choose_held_out,
    find_equal,
    list_small_classes,
)
from iddm_cli.data.packs.store import ImageDigests

SHARE = 0.05
TABLE = np.random.default_rng(7).integers(0, 256, (2, 100_000, 16), dtype=np.uint8)


def digests_of(*keys: int, pixels: tuple[int, ...] | None = None) -> ImageDigests:
    """Return the digests of images, equal where their keys are."""
    return ImageDigests(TABLE[0][list(keys)], TABLE[1][list(pixels or keys)])


def choose(keys, labels, share: float = SHARE) -> set[tuple[int, int]]:
    """Return key and class of the held-out images."""
    held_out = choose_held_out(digests_of(*keys), np.asarray(labels), share)
    return {(int(keys[i]), int(labels[i])) for i in np.flatnonzero(held_out)}


def random_set(dice, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return keys and labels of a set in which about one image in twenty is repeated."""
    labels = np.repeat(np.arange(len(counts)), counts)
    keys = dice.permutation(100_000)[: len(labels)]
    again = dice.random(len(labels)) < 0.05
    keys[again] = dice.choice(keys, again.sum())
    return keys, labels


@pytest.mark.parametrize("seed", range(20))
def test_no_training_image_becomes_held_out_when_images_are_added(seed):
    dice = np.random.default_rng(seed)
    keys, labels = random_set(dice, dice.integers(60, 300, 3).tolist())
    before = dice.random(len(keys)) < 0.8
    before[labels == 2] = True
    share = float(dice.choice([0.02, 0.05, 0.2]))
    first = choose(keys[before], labels[before], share)
    trained = {*zip(keys[before].tolist(), labels[before].tolist(), strict=True)} - first
    assert not choose(keys, labels, share) & trained


@pytest.mark.parametrize("seed", range(10))
def test_a_small_class_holds_out_one_more_for_every_ten_images_at_most(seed):
    keys = np.random.default_rng(seed).permutation(100_000)[:50]
    chosen = [choose(keys[:n], np.zeros(n, int), 1e-9) for n in range(51)]
    assert [len(one) for one in chosen] == [min(FEW, n // MIN_CLASS) for n in range(51)]
    for n, (before, now) in enumerate(pairwise(chosen), start=1):
        trained = {(int(key), 0) for key in keys[: n - 1]} - before
        assert len(now & trained) <= (n % MIN_CLASS == 0), n


def test_it_depends_neither_on_the_order_nor_on_other_classes():
    dice = np.random.default_rng(1)
    keys = dice.permutation(100_000)[:400]
    labels = dice.integers(0, 3, 400)
    order = dice.permutation(400)
    assert choose(keys, labels) == choose(keys[order], labels[order])
    each = [choose(keys[labels == label], labels[labels == label]) for label in range(3)]
    assert choose(keys, labels) == set.union(*each)


def test_equal_files_are_on_one_side_also_in_several_classes():
    dice = np.random.default_rng(2)
    keys = np.concatenate([dice.permutation(100_000)[:300]] * 3)
    labels = dice.integers(0, 4, 900)
    held_out = choose_held_out(digests_of(*keys), labels, SHARE)
    assert held_out.any()
    assert not set(keys[held_out]) & set(keys[~held_out])


def test_images_of_equal_pixels_are_on_one_side_also_in_unequal_files():
    keys = tuple(range(400))
    pixels = tuple(key % 200 for key in keys)
    held_out = choose_held_out(digests_of(*keys, pixels=pixels), np.zeros(400, int), 0.3)
    equal = held_out.reshape(2, 200)
    assert equal.any()
    assert (equal[0] == equal[1]).all()
    alone = choose_held_out(digests_of(*keys), np.zeros(400, int), 0.3)
    assert (alone | ~held_out).all(), "it only makes training images of held-out ones"


def test_a_large_set_loses_its_share():
    keys = np.arange(60_000)
    for share in (0.01, 0.05, 0.5):
        count = len(choose(keys, np.zeros(60_000, int), share))
        assert abs(count - share * 60_000) < 4 * np.sqrt(share * (1 - share) * 60_000)
    assert not choose(keys, np.zeros(60_000, int), 0.0)


def test_a_few_of_each_class_are_held_out_but_none_of_a_handful():
    counts = [9, 10, 25, 40, 90]
    labels = np.repeat(np.arange(5), counts)
    chosen = choose(np.arange(labels.size), labels, 1e-9)
    assert [sum(label == of for _, of in chosen) for label in range(5)] == [0, 1, 2, 4, 4]
    assert not {0} & {of for _, of in choose(np.arange(labels.size), labels, 0.5)}
    assert list_small_classes([0, *counts]) == [1]


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_no_class_loses_more_than_half_however_equal_its_images_are(share):
    for sizes in ([100], [60, 40], [51, 49], [34, 33, 33], [1] * 100, [1] * 50 + [50]):
        keys = np.repeat(np.arange(len(sizes)), sizes)
        for shift in range(6):
            images = digests_of(*(keys + 1000 * shift))
            held_out = choose_held_out(images, np.zeros(len(keys), int), share)
            assert held_out.sum() <= len(keys) / 2, sizes


def test_equal_digests_are_found():
    one, other = digests_of(1, 2, 3).pixels, digests_of(3, 5, 1, 1).pixels
    assert find_equal(one, other).tolist() == [True, False, True]
    assert not find_equal(one, other[:0]).any()
