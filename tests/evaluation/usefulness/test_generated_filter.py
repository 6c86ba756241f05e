"""Filter: images of another class and copies are left out, and counted by reason."""

from dataclasses import replace

import torch

from iddm_cli.evaluation.usefulness import filter_generated
from iddm_cli.evaluation.usefulness.generated_filter import COPY, DISAGREES
from tests.evaluation.usefulness.conftest import make_images

GENERATED = make_images("generated", 2, seed=0)
"""Of the classes 0, 0, 1, 1, 2, 2."""


class Predictor:
    def predict(self, images):
        return torch.tensor([0, 1, 1, 0, 2, 2])


def test_images_whose_class_disagrees_are_left_out():
    kept, left_out = filter_generated(GENERATED, Predictor(), None)
    assert kept.tolist() == [True, False, True, False, True, True]
    assert left_out == {DISAGREES: 2}


def test_copies_are_left_out_and_counted_once():
    is_copy = torch.tensor([True, True, False, False, False, False])
    kept, left_out = filter_generated(GENERATED, Predictor(), is_copy)
    assert kept.tolist() == [False, False, True, False, True, True]
    assert left_out == {COPY: 2, DISAGREES: 1}
    assert sum(left_out.values()) == int((~kept).sum())


def test_without_classes_only_copies_are_left_out():
    plain = replace(GENERATED, labels=None, classes=())
    kept, left_out = filter_generated(plain, Predictor(), torch.zeros(6, dtype=torch.bool))
    assert kept.all()
    assert left_out == {COPY: 0}
