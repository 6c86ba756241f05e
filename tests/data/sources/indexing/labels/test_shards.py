"""Folders that look like shards are reported; those of MNIST are classes."""

import pytest

from iddm_cli.data.sources.indexing.labels.shards import describe_shards


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"00000": 5, "00001": 5, "00002": 2}, True),
        ({"00000": 1000, "01000": 1000}, True),
        ({str(i): 5 for i in range(10)}, False),
        ({f"{i:02d}": 5 for i in range(43)}, False),
        ({"00000": 5, "00001": 9}, False),
        ({"00000": 5}, False),
        ({"00000": 5, "cat": 5}, False),
        ({"1990": 5, "1991": 5}, False),
        ({}, False),
    ],
)
def test_shards_are_told_from_classes(counts: dict[str, int], expected: bool) -> None:
    assert bool(describe_shards(counts)) == expected
