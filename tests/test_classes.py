"""Classes by name and by index: a name goes first, and nothing else is an index."""

import pytest

from iddm_cli.classes import find_class
from iddm_cli.serving.http.service import find_label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("cat", 0), ("1", 2), ("0", 0), ("2", 2), ("3", None), ("-1", None), ("Cat", None),
        ("", None), ("²", None), ("9" * 30, None), ("01", 1), (" 1", None),
    ],
)  # fmt: skip
def test_a_name_goes_before_an_index(text, label):
    assert find_class(text, ["cat", "dog", "1"]) == label


def test_a_number_in_json_is_always_an_index():
    classes = ("cat", "dog", "1")
    assert [find_label(class_, classes) for class_ in (1, "1", "dog", 0)] == [1, 2, 1, 0]
