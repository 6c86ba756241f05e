"""Labels to generate: as many of each class as the real images have, in proportion."""

from collections import Counter

import pytest

from iddm_cli.evaluation.label_plan import FEW, index_within_classes, plan_labels


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_there_are_as_many_as_asked_for(count):
    assert len(plan_labels([5, 3, 90], count)) == count


def test_classes_have_the_proportions_of_the_real_images():
    made = Counter(plan_labels([700, 200, 100], 1000))
    assert made == {0: 700, 1: 200, 2: 100}


def test_a_rare_class_has_a_few():
    made = Counter(plan_labels([100_000, 1], 100))
    assert made == {0: 100 - FEW, 1: FEW}


def test_a_class_without_real_images_has_none():
    assert set(plan_labels([4, 0, 4], 50)) == {0, 2}


def test_a_larger_number_begins_with_the_same_labels():
    counts = [500, 300, 44, 5]
    assert plan_labels(counts, 2000)[:300] == plan_labels(counts, 300)


def test_fewer_images_than_classes_show_the_largest_classes():
    assert sorted(plan_labels([1, 9, 3, 8], 2)) == [1, 3]


def test_images_of_a_class_are_counted_from_0():
    assert index_within_classes([2, 0, 2, 2, 0]) == [0, 0, 1, 2, 1]
