"""The summary of the training data: reasons are counted and shortened."""

import pytest

from iddm_cli.display.dataset import join_first_names, summarize_reasons


@pytest.mark.parametrize(
    ("reasons", "text"),
    [
        (["damaged: at byte 7", "damaged: no end"], "damaged"),
        (["damaged: x", "empty", "damaged"], "2 damaged, 1 empty"),
        (["a", "a", "a", "b", "b", "c"], "3 a, 2 b, ..."),
    ],
)
def test_reasons_are_counted_by_their_first_words(reasons, text):
    assert summarize_reasons([("file", reason) for reason in reasons]) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["cat", "dog", "fish"], "cat, dog, fish"),
        (["x" * 300, "y"], f"{'x' * 300}, ..."),
        ([f"{i:03}" for i in range(1000)], f"{', '.join(f'{i:03}' for i in range(20))}, ..."),
    ],
)
def test_the_first_class_names(names, text):
    assert join_first_names(names) == text
