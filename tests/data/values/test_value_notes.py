"""What the user is to know of the values: each is said where it holds, and nowhere else."""

import re

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.values.value_plan import plan_values
from tests.data.values.surveys import numbers, settings, survey

BANDS = [(numbers(0, 9999, "uint16", bands, count), bands) for bands, count in ((4, 6), (3, 4))]


def notes(*images, **values) -> str:
    return "; ".join(plan_values(survey(*images), settings(**values)).notes)


def labels(*values: int) -> list[Image.Image]:
    return [Image.new("L", (4, 4), value) for value in values]


def test_an_even_set_has_no_notes():
    assert notes(*numbers(300, 3300, "uint16")) == ""
    assert notes(Image.linear_gradient("L")) == ""


@pytest.mark.parametrize(
    ("images", "values", "said"),
    [
        (labels(0, 1, 2), {}, "only 3 different values, as in images of labels"),
        (labels(0, 7, 255), {}, r"data.value_range: \[0, 7\] makes them distinct, and 255"),
        (BANDS[0][0] + BANDS[1][0], {}, "4 images of 3 bands skipped: training uses 4; data.chan"),
        (BANDS[0][0], {"channels": 3}, r"6 images of 4 bands: only the first 3 used \(data.chan"),
        (BANDS[0][0], {"channels": 1}, "6 images of 4 bands: only the first band used"),
        (numbers(0, 9, "uint16"), {"value_range": [3, 5]}, r"% of the values are outside"),
        ([np.full((4, 4), 300, np.uint16)], {}, "every value is 300: there is nothing to learn"),
        (
            [np.stack([np.arange(9)] * 4 + [np.zeros(9)], axis=-1)[None].astype(np.uint16)],
            {},
            "band 5 holds one value only",
        ),
        (
            [np.array([[np.nan, 1, 2, 3]], np.float32)],
            {},
            r"25.00% of the values are missing \(NaN",
        ),
        ([i * 257 for i in numbers(0, 255, "uint16")], {}, "16 bits that hold 8"),
        (
            [Image.linear_gradient("L"), *numbers(0, 65_535, "uint16", count=3)],
            {},
            "3 images of more than 8 bits reduced to 8",
        ),
        (
            [Image.linear_gradient("L")] * 20 + numbers(0, 70_000, "int32", count=1),
            {},
            "1 image of int32 skipped: the others have 8 bits",
        ),
    ],
)
def test_what_is_unusual_is_said(images, values, said):
    text = notes(*images, **values)
    assert re.search(said, text), text


def test_masks_of_black_and_white_are_not_labels():
    assert notes(*labels(0, 255)) == ""
