"""Checks: what cannot be measured is refused, with what to do."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.evaluation.usefulness.checks import check_images, check_settings
from tests.evaluation.usefulness.conftest import make_images

REAL, HELD_OUT, GENERATED = (
    make_images(name, 2, seed=seed) for seed, name in enumerate(("train", "test", "generated"))
)


def of_classes(images, *labels: int):
    return images.select(torch.isin(images.labels, torch.tensor(labels)))


def plain(images):
    return replace(images, labels=None, classes=())


def of_one_class(images):
    return replace(images, labels=torch.zeros_like(images.labels), classes=("one",))


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ((plain(REAL), plain(HELD_OUT), plain(GENERATED)), "two classes, and train has none"),
        (map(of_one_class, (REAL, HELD_OUT, GENERATED)), "two classes, and train has one"),
        ((of_classes(REAL, 1), HELD_OUT, GENERATED), "train has 2 images of 1"),
        ((REAL, of_classes(HELD_OUT, 0), GENERATED), "test has 2 images of 1"),
        ((REAL, of_classes(HELD_OUT), GENERATED), "test has 0 images of 0"),
        ((REAL, HELD_OUT, of_classes(GENERATED)), "generated has none of a class"),
        ((of_classes(REAL, 0, 1), HELD_OUT, of_classes(GENERATED, 2)), "generated has none"),
        ((of_classes(REAL, 0, 1), of_classes(HELD_OUT, 1, 2), GENERATED), "fewer than two"),
        ((REAL, HELD_OUT, replace(GENERATED, classes=("a", "b", "c"))), "same classes"),
        ((REAL, HELD_OUT, plain(GENERATED)), "same classes"),
        ((REAL, HELD_OUT, replace(GENERATED, pixels=GENERATED.pixels[..., 1:])), "12 × 11"),
    ],
)
def test_what_cannot_be_compared_is_refused(sets, problem):
    with pytest.raises(DatasetError) as refused:
        check_images(*sets)
    assert problem in refused.value.problem
    assert refused.value.hint


def test_classes_without_generated_or_held_out_images_are_no_obstacle():
    check_images(REAL, of_classes(HELD_OUT, 0, 2), of_classes(GENERATED, 1))


@pytest.mark.parametrize(
    "wrong",
    [{"real_per_class": 0}, {"seeds": 1}, {"ratios": ()}, {"ratios": (1, 0)},
     {"ratios": (float("nan"),)}, {"ratios": (float("inf"),)}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        check_settings(**{"real_per_class": 5, "seeds": 2, "ratios": (1,)} | wrong)
