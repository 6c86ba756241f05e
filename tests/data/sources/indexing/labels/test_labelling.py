"""The order of classes."""

import pytest

from iddm_cli.data.sources.indexing.labels.labelling import sort_classes


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "9", "2"], ["2", "9", "10"]),
        (["10", "-1", "0", "-10"], ["-10", "-1", "0", "10"]),
        (["10.0", "9.0", "9.5"], ["9.0", "9.5", "10.0"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["b", "a", "B", "ä", "猫"], ["B", "a", "b", "ä", "猫"]),
        (["²", "1"], ["1", "²"]),
        (["01", "1", "001"], ["001", "01", "1"]),
        (["9" * 9000, "1" + "0" * 9000], ["9" * 9000, "1" + "0" * 9000]),
        (["1,5", "1,0", "10,0"], ["1,0", "1,5", "10,0"]),
        ([], []),
    ],
)
def test_order_of_classes(names: list[str], ordered: list[str]) -> None:
    assert sort_classes(set(names)) == ordered
