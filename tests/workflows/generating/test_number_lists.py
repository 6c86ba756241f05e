"""Lists of indices, and how many images are too many."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.number_lists import MAX_IMAGES, check_total, parse_indices


@pytest.mark.parametrize(
    ("text", "indices"),
    [("7", [7]), ("12,7", [7, 12]), ("7, 12,20-22,21", [7, 12, 20, 21, 22]), ("3-3", [3])],
)
def test_a_list_of_indices(text, indices):
    assert parse_indices(text) == indices


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "3-", "5-3", "1-2-3", "1.5", "²"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="is not a list of indices"):
        parse_indices(text)


def test_an_index_is_bounded_as_numbers_of_images_are():
    assert parse_indices(str(MAX_IMAGES - 1)) == [MAX_IMAGES - 1]
    with pytest.raises(UsageError, match="too large"):
        parse_indices(f"0-{MAX_IMAGES}")


def test_exactly_the_most_images_are_allowed():
    check_total(MAX_IMAGES, "--count 500000")
    with pytest.raises(UsageError, match="--count 500001 would be 1,000,002 images"):
        check_total(MAX_IMAGES + 2, "--count 500001")
