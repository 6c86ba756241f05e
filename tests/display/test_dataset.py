"""The summary of the training data: reasons are counted and shortened."""

import pytest

from iddm_cli.data.packs.held_out import SHARE, HeldOutFacts, HeldOutReport
from iddm_cli.display.dataset import (
    describe_held_out,
    describe_leak,
    join_first_names,
    summarize_reasons,
)


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


REPORT = HeldOutReport(HeldOutFacts(SHARE), training=95, count=5, classes={"a": 5})


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (HeldOutReport(HeldOutFacts(), 100), ""),
        (REPORT, "5 of 100 images (data.held_out)"),
        (HeldOutReport(HeldOutFacts(SHARE, notes=("few",)), 9), "none: few"),
        (HeldOutReport(HeldOutFacts("val"), 100, 1), "1 image of val"),
        (
            HeldOutReport(HeldOutFacts("test", unknown=3, repeated=1), 100, 20, unreadable=2),
            "20 images of test; 3 of other classes are left out; 2 cannot be read",
        ),
    ],
)
def test_held_out_images_are_counted_and_named(report, text):
    assert describe_held_out(report) == text
    assert describe_leak(report).startswith("1 image of test") == (report.facts.repeated == 1)
