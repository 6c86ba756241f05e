"""Classes are assigned to the images that names mean, the surest matches first."""

import pytest

from iddm_cli.data.sources.indexing.labels.assignment import assign_classes
from iddm_cli.data.sources.indexing.labels.file_matching import FileMatcher
from iddm_cli.errors import DatasetError

MATCHER = FileMatcher(["a.png", "b.png"], ["a.png", "b.png", "val/c.png"], "")


def test_a_sure_match_takes_precedence_over_a_loose_one() -> None:
    pairs = [("other/a.png", "dog"), ("a.png", "cat"), ("val/c.png", "x"), ("gone.png", "y")]
    found = assign_classes(pairs, MATCHER, "t.csv")
    assert found.classes == {"a.png": "cat"}
    assert found.missing == ["gone.png", "other/a.png"]


def test_several_classes_of_an_image_are_an_error_also_by_loose_matches() -> None:
    with pytest.raises(DatasetError, match=r"lists a\.png twice, as cat and as dog"):
        assign_classes([("x/a.png", "cat"), ("y/a.png", "dog")], MATCHER, "t.csv")
