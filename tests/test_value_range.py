"""The range of values: levels and values are converted without loss, and damage is noticed."""

import numpy as np
import pytest

from iddm_cli.value_range import (
    EIGHT_BIT,
    ValueRange,
    format_value,
    parse_value_range,
)

RANGES = [
    ValueRange("uint8", (0.0,), (2.0,)),
    ValueRange("uint16", (300.0,), (3300.0,)),
    ValueRange("uint16", (0.0,), (65535.0,)),
    ValueRange("int16", (-1024.0,), (3071.0,)),
    ValueRange("int32", (-5.0,), (40_000.0,)),
    ValueRange("uint16", (0.0, 100.0), (10_000.0, 65_535.0)),
]


def all_values(values: ValueRange) -> np.ndarray:
    """Every whole number of each band's range, [H, 1, C]."""
    ends = values.low, values.high
    columns = [np.linspace(low, high, 40_001).round() for low, high in zip(*ends, strict=True)]
    return np.stack(columns, axis=-1)[:, None].astype(values.dtype)


@pytest.mark.parametrize("values", RANGES, ids=lambda values: values.describe())
def test_whole_numbers_survive_the_way_to_levels_and_back(values):
    numbers = all_values(values)
    levels = np.rint(values.to_unit(numbers) * values.levels)
    assert levels.min() == 0 and levels.max() == 65_535
    restored = values.to_values(levels.astype(values.level_dtype))
    assert restored.dtype == numbers.dtype
    assert (restored == numbers).all(), "a range of up to 65,536 numbers has a level for each"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_other_numbers_are_off_by_half_a_level_at_most(dtype):
    values = ValueRange(dtype, (-2.5,), (1.5,))
    numbers = np.linspace(-2.5, 1.5, 9_999).reshape(-1, 1, 1).astype(dtype)
    levels = np.rint(values.to_unit(numbers) * values.levels)
    restored = values.to_values(levels)
    assert restored.dtype == dtype
    half_a_level = 4 / 65_535 / 2
    rounding = float(np.finfo(dtype).eps) * 2.5
    error = np.abs(restored.astype(float) - numbers.astype(float)).max()
    assert error <= half_a_level * 1.001 + rounding


def test_what_lies_outside_is_clipped():
    values = ValueRange("int16", (0.0,), (100.0,))
    assert values.to_unit(np.array([[[-5], [50], [4000]]])).ravel().tolist() == [0, 0.5, 1]


def test_ordinary_images_keep_their_values_as_levels():
    assert EIGHT_BIT.levels == 255
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert (EIGHT_BIT.to_values(levels) == levels).all()
    assert EIGHT_BIT.to_values(levels).dtype == np.uint8


@pytest.mark.parametrize("values", [*RANGES, EIGHT_BIT], ids=lambda values: values.describe())
def test_a_range_is_recorded_as_json_and_read_again(values):
    assert parse_value_range({"values": values.to_json(), "count": 3}) == values


def test_a_run_that_records_no_range_has_8_bits():
    assert parse_value_range({"digest": "abc"}) == EIGHT_BIT


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "U8"},
        {"dtype": "nothing"},
        {"dtype": 7},
        {"dtype": "complex64"},
        {"low": []},
        {"low": [0.0] * 17, "high": [1.0] * 17},
        {"low": ["0"]},
        {"low": [float("nan")]},
        {"low": [True]},
        {"low": 0},
        {"low": [3300]},
        {"low": [0, 0]},
    ],
    ids=str,
)
def test_a_damaged_range_is_noticed(change):
    good = ValueRange("uint16", (300.0,), (3300.0,)).to_json()
    with pytest.raises(ValueError, match="values"):
        parse_value_range({"values": {**good, **change}})
    with pytest.raises(ValueError, match="not an object"):
        parse_value_range({"values": [1]})


def test_of_many_ranges_the_first_ones_are_named():
    values = ValueRange("uint16", (0.0,) * 13, (9.0,) * 13)
    assert values.describe() == "0 to 9, 0 to 9, 0 to 9, 0 to 9, 9 more ranges (uint16)"


@pytest.mark.parametrize(
    ("value", "text"), [(3300.0, "3,300"), (0.25, "0.25"), (-1024.0, "-1,024"), (1e-9, "1e-09")]
)
def test_numbers_are_written_for_people(value, text):
    assert format_value(value) == text
