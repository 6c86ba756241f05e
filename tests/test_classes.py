"""Classes by name and by index: names take precedence."""

import unicodedata

import pytest

from iddm_cli.classes import choose_classes, find_class
from iddm_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("cat", 0), ("1", 2), ("0", 0), ("2", 2), ("3", None), ("-1", None), ("Cat", None),
        ("", None), ("²", None), ("9" * 30, None), ("01", 1), (" 1", None),
    ],
)  # fmt: skip
def test_a_name_takes_precedence_over_an_index(text, label):
    assert find_class(text, ["cat", "dog", "1"]) == label


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize(
    "name", ["caf\u00e9", "cafe\u0301", "\ud55c\uad6d", "\ufb01sh", "\u30ab\u30e1\u30e9\u30ac"]
)
def test_a_name_may_be_in_any_unicode_normal_form(form, name):
    assert find_class(unicodedata.normalize(form, name), ["x", name, "7"]) == 1


def test_a_name_that_fits_two_classes_fits_none():
    assert find_class("\uff43at", ["cat", "\uff23at"]) == 0
    assert find_class("fish", ["\ufb01sh", "\uff46ish"]) is None
    assert find_class("\uff11", ["a", "b", "1"]) == 2


def test_classes_are_chosen_once_each_in_the_order_given():
    classes = ("cat", "dog", "1")
    assert choose_classes(["all"], classes) == [0, 1, 2]
    assert choose_classes(["dog", "1", "all", "0"], classes) == [1, 2, 0]
    assert choose_classes(["all"], ()) == [0]


@pytest.mark.parametrize(
    ("names", "classes", "problem", "hint"),
    [
        (
            ["dgo"],
            ("cat", "dog"),
            "the run has no such class",
            "Did you mean dog? There are: 0 cat",
        ),
        (["3"], tuple("abc"), "--class 3: the run has no such class", "0 a, 1 b, 2 c."),
        (["cat"], (), "--class cat: this run was trained without classes", "Leave --class out."),
    ],
)
def test_an_unknown_class_is_refused_with_the_known_ones(names, classes, problem, hint):
    with pytest.raises(UsageError) as refused:
        choose_classes(names, classes)
    assert problem in refused.value.problem
    assert hint in refused.value.hint
