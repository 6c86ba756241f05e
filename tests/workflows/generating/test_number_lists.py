"""Lists of indices, and how many images are too many."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.workflows.generating.number_lists import (
    MAX_IMAGES,
    Interpolation,
    check_total,
    parse_indices,
    parse_interpolation,
)


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


def test_a_path_has_two_ends_and_evenly_spaced_images_between():
    path = parse_interpolation("7:12:5")
    assert path == Interpolation(7, 12, 5)
    assert path.positions() == [0, 0.25, 0.5, 0.75, 1]
    assert parse_interpolation("9:0:2").positions() == [0, 1]


@pytest.mark.parametrize("text", ["", "1:2", "1:2:x", "1:1:5", "1:2:1", f"1:{MAX_IMAGES}:3"])
def test_no_other_path_is_accepted(text):
    with pytest.raises(UsageError, match="--interpolate"):
        parse_interpolation(text)


def test_exactly_the_most_images_are_allowed():
    check_total(MAX_IMAGES, "--count 500000")
    with pytest.raises(UsageError, match="--count 500001 would be 1,000,002 images"):
        check_total(MAX_IMAGES + 2, "--count 500001")
