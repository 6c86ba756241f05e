import pytest
import torch

from iddm_cli.evaluation.comparison.agreement import Answers, measure_agreement
from iddm_cli.evaluation.comparison.intervals import wilson_interval

NONE = torch.zeros(0, dtype=torch.int64)


def answers(asked, seen):
    return Answers(torch.tensor(asked), torch.tensor(seen))


def test_agreement_is_the_share_of_images_whose_class_is_seen():
    number = measure_agreement(Answers(NONE, NONE), answers([0, 0, 1, 1], [0, 1, 1, 1]))
    assert number.value == 0.75
    assert (number.low, number.high) == wilson_interval(0.75, 4)
    assert (number.count, number.floor) == (4, None)


def test_its_floor_is_that_of_real_images_in_the_same_proportions():
    real = answers([0] * 10 + [1] * 2, [0] * 9 + [1] + [1, 0])  # 90 % and 50 %
    generated = answers([0] + [1] * 3, [0, 1, 1, 1])
    assert measure_agreement(real, generated).floor == pytest.approx((0.9 + 3 * 0.5) / 4)


def test_classes_without_real_images_say_nothing_of_the_floor():
    number = measure_agreement(answers([0, 0], [0, 1]), answers([0, 1, 1], [0, 1, 1]))
    assert number.floor == 0.5


def test_no_generated_image_has_no_agreement():
    assert measure_agreement(answers([0], [0]), Answers(NONE, NONE)) is None


def test_confusion_counts_by_class_asked_and_class_seen():
    found = answers([0, 0, 2, 2, 2], [0, 1, 2, 0, 2]).confusion(3)
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]
    assert answers([0, 2, 2], [0, 1, 2]).of_class(2).seen.tolist() == [1, 2]
