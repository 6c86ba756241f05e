"""Names of sets of weights."""

import pytest

from iddm_cli.records.weights_names import (
    is_named_average,
    name_average,
    parse_average_name,
    part_of_weights,
    weights_of_part,
)


@pytest.mark.parametrize("length", [0.1, 0.05, 0.125, 0.0321, 0.2])
def test_each_length_has_one_name(length):
    name = name_average(length)
    assert is_named_average(name)
    assert parse_average_name(name) == length


@pytest.mark.parametrize(
    "name", ["average", "raw", "average-0.10", "average-1", "average-0.", "average-0.12345", "0.1",
             "average-.1", "average-0.1\n", "average-0.1/..", ""]
)  # fmt: skip
def test_other_names_are_of_no_average(name):
    assert not is_named_average(name)


def test_parts_and_names_belong_together():
    for name in ("average", "raw", "average-0.1"):
        assert weights_of_part(part_of_weights(name)) == name
    assert part_of_weights("raw") == "model"
