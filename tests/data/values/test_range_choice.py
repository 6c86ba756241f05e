"""The choice of the range: for every type, what becomes black and white."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.values.range_choice import choose_range, merge_tables, share_clipped
from iddm_cli.errors import DatasetError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from tests.data.values.surveys import numbers, settings, survey


def found(*images, channels: int | None = None, **values) -> ValueRange:
    groups = survey(*images).groups
    return choose_range(groups, channels or groups[0].bands, settings(**values))


def gradient(low: int = 0, high: int = 255) -> Image.Image:
    row = np.linspace(low, high, 256).astype(np.uint8)
    return Image.fromarray(np.tile(row, (8, 1)))


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (300, 3300, "uint16"),
        (0, 4095, "uint16"),
        (-1024, 3071, "int16"),
        (-70_000, 2_000_000, "int32"),
        (-3.5, 12.25, "float32"),
        (1e-6, 3e-6, "float64"),
    ],
)
def test_the_range_is_that_of_the_values(low, high, dtype):
    values = found(*numbers(low, high, dtype))
    assert values.dtype == dtype
    assert (values.low, values.high) == (
        (pytest.approx(low, rel=1e-5),),
        (pytest.approx(high, rel=1e-5),),
    )


@pytest.mark.parametrize("hot", [20_000, 65_535])
def test_hot_pixels_do_not_stretch_the_range(hot):
    images = numbers(300, 3300, "uint16")
    images[3][5, 5] = hot
    values = found(*images)
    assert 3290 <= values.high[0] <= 3300
    groups = survey(*images).groups
    assert 0 < share_clipped(groups, 1, values) < 0.003


@pytest.mark.parametrize(
    ("images", "nominal"),
    [
        (numbers(100, 65_000, "uint16"), (0, 65_535)),
        (numbers(0.01, 0.99, "float32"), (0, 1)),
        (numbers(-0.99, 0.99, "float32"), (-1, 1)),
        (numbers(1, 254, "float32"), (0, 255)),
        (numbers(0.2, 0.7, "float32"), (pytest.approx(0.2), pytest.approx(0.7))),
        ([image * 257 for image in numbers(90, 120, "uint16")], (0, 65_535)),
    ],
)
def test_a_range_that_is_nearly_a_customary_one_becomes_that(images, nominal):
    values = found(*images)
    assert (*values.low, *values.high) == nominal


def test_colours_share_a_range_and_bands_have_their_own():
    bands = [np.arange(400).reshape(20, 20) * factor for factor in (1, 10, 2, 5, 3)]
    images = [np.stack(bands[:count], axis=-1).astype(np.uint16) for count in (3, 5)]
    assert found(images[0]).high == (3990.0,)
    assert found(images[1]).high == (399.0, 3990.0, 798.0, 1995.0, 1197.0)
    assert found(images[1], channels=3).high == (3990.0,), "trained as colours"


def test_ordinary_images_keep_their_range():
    assert found(gradient(), gradient(10, 200)) == EIGHT_BIT
    assert found(gradient(0, 60)) == EIGHT_BIT, "a dark photograph is no image of labels"
    assert found(*numbers(0, 200, "uint8", 5)) == EIGHT_BIT
    assert found(Image.new("L", (4, 4), 9)) == EIGHT_BIT, "one value alone"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1], (0, 1)),
        ([0, 1, 2], (0, 2)),
        ([1, 5, 9], (1, 9)),
        (range(34), (0, 33)),
        ([0, 255], (0, 255)),
        ([0, 7, 255], (0, 255)),
        ([0, 100, 200], (0, 255)),
    ],
)
def test_labels_have_the_range_of_their_own(labels, expected):
    values = found(*(Image.new("L", (4, 4), label) for label in labels))
    assert (values.dtype, *values.low, *values.high) == ("uint8", *expected)


def test_a_range_may_be_set_in_the_units_of_the_files():
    values = found(*numbers(300, 3300, "uint16"), value_range=[0, 4095])
    assert values == ValueRange("uint16", (0.0,), (4095.0,))
    assert found(gradient(), value_range=[0, 255]) == EIGHT_BIT
    mixed = found(gradient(), *numbers(300, 3300, "int16"), channels=1, value_range=[0, 9])
    assert mixed.dtype == "int16"


def test_signed_and_unsigned_integers_have_a_common_range():
    values = found(*numbers(-50, 100, "int16"), *numbers(0, 40_000, "uint16"))
    assert values == ValueRange("int32", (-50.0,), (40_000.0,))


def test_whole_and_other_numbers_of_the_same_range_are_of_the_same_kind():
    images = [*numbers(-1000, 2900, "float32"), *numbers(-1024, 3071, "int16")]
    values = found(*images)
    assert (values.dtype, values.low, values.high) == ("float32", (-1024.0,), (3071.0,))


def test_photographs_of_16_bits_beside_others_are_reduced():
    assert found(gradient(), *numbers(0, 60_000, "uint16"), channels=1) == EIGHT_BIT
    few = [gradient()] * 20 + numbers(300, 3300, "uint16", count=1)
    assert found(*few, channels=1) == EIGHT_BIT, "one odd image does not stop the others"


@pytest.mark.parametrize(
    "others",
    [numbers(300, 3300, "uint16"), numbers(0, 9, "float32"), numbers(-100, 100, "int16")],
    ids=["narrow", "float", "signed"],
)
def test_other_mixtures_are_refused_with_what_to_set(others):
    with pytest.raises(DatasetError, match=r"without a common range \(.*of uint8, 0 to 255") as no:
        found(*[gradient()] * 10, *others, channels=1)
    assert "data.value_range: [low, high]" in no.value.hint
    with pytest.raises(DatasetError, match="without a common range"):
        found(*numbers(0, 9, "float32"), *numbers(300, 3300, "uint16"))


def test_a_set_without_any_difference_has_some_range():
    assert found(np.full((4, 4), 300, np.uint16)) == ValueRange("uint16", (300.0,), (301.0,))
    nothing = found(np.full((4, 4), np.nan, np.float32))
    assert nothing.low < nothing.high


def test_tables_of_several_groups_are_weighed_by_their_images():
    groups = survey(*numbers(0, 100, "int16", count=9), *numbers(900, 1000, "uint16", count=1))
    (table,) = merge_tables(groups.groups, 1)
    assert (table[0], table[-1]) == (0, 1000)
    assert table[880] <= 100 < 900 <= table[920]
