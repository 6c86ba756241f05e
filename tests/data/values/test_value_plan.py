"""The plan: channels, range and notes together."""

import pytest
from PIL import Image

from iddm_cli.data.values.value_plan import ordinary_range, plan_values
from iddm_cli.errors import DatasetError
from iddm_cli.value_range import EIGHT_BIT, ValueRange
from tests.data.values.surveys import numbers, settings, survey


def test_a_plan_has_a_range_for_all_or_for_each_channel():
    plan = plan_values(survey(*numbers(0, 10_000, "uint16", 13)), settings())
    assert (plan.channels, len(plan.values.low), plan.clipped) == (13, 13, 0)
    plan = plan_values(survey(*numbers(300, 3300, "uint16")), settings())
    assert (plan.channels, plan.values) == (1, ValueRange("uint16", (300.0,), (3300.0,)))


def test_opacity_is_a_channel_if_it_is_asked_for():
    images = [Image.new("RGBA", (4, 4), (1, 200, 3, 240))]
    assert plan_values(survey(*images), settings()).channels == 3
    plan = plan_values(survey(*images), settings(channels=4))
    assert (plan.channels, plan.values) == (4, ordinary_range(4))
    assert plan.values.alpha and plan.values.is_8_bit
    assert ordinary_range(3) == EIGHT_BIT


def test_more_channels_than_any_image_has_are_refused():
    with pytest.raises(DatasetError, match=r"data\.channels is 9, and no image has so many") as no:
        plan_values(survey(*numbers(0, 9, "uint16", 5)), settings(channels=9))
    assert "data.channels" in no.value.hint
