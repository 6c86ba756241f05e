"""Cascades: the labels of the second model are those of the first, by their names."""

from types import SimpleNamespace

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.upscaling.cascade import enlarge_profile, match_labels
from tests.build.profiles import tiny_profile


def make_loaded(classes: tuple[str, ...], label_drop: float = 0.1) -> SimpleNamespace:
    model = SimpleNamespace(classes=classes, reference="large")
    return SimpleNamespace(model=model, profile=tiny_profile(training={"label_drop": label_drop}))


@pytest.mark.parametrize(
    ("own", "classes", "labels"),
    [
        (("cat", "dog"), ("dog", "cat"), [1, 0, 2]),
        (("cat", "dog"), ("dog", "bird"), [1, 2, 2]),
        (("cat", "dog"), (), [2]),
        ((), ("cat", "dog"), [0, 0, 0]),
        ((), (), [0]),
    ],
    ids=str,
)
def test_classes_are_matched_by_name_and_others_have_no_label(own, classes, labels):
    assert match_labels(make_loaded(own), classes) == labels


@pytest.mark.parametrize("classes", [("bird",), ()], ids=str)
def test_a_model_that_needs_classes_refuses_others(classes):
    with pytest.raises(UsageError, match="large was trained with classes alone"):
        match_labels(make_loaded(("cat",), label_drop=0.0), classes)
    assert match_labels(make_loaded(("cat",), label_drop=0.0), ("cat",)) == [0, 1]


def test_existing_images_are_read_at_the_larger_size():
    profile = tiny_profile(data={"channels": 3, "image_size": [8, 12]})
    assert enlarge_profile(profile, 4).data.size == (32, 48)
