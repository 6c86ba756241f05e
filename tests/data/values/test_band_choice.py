"""The choice of bands."""

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.values.band_choice import choose_channels, fits_channels, select_groups
from iddm_cli.errors import DatasetError
from tests.data.values.surveys import numbers, survey

GREY = np.repeat(np.arange(400, dtype=np.uint16).reshape(20, 20, 1), 3, axis=2)


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        (numbers(0, 9999, "uint16", 1), 1),
        (numbers(0, 9999, "uint16", 3), 3),
        (numbers(0, 9999, "uint16", 1) + numbers(0, 9999, "uint16", 3, 1), 3),
        ([GREY, *numbers(0, 9999, "uint16", 1)], 1),
        (numbers(0, 9999, "uint16", 2), 2),
        (numbers(0, 9999, "uint16", 13), 13),
        (numbers(0, 9999, "uint16", 4, 6) + numbers(0, 9999, "uint16", 3, 4), 4),
        (numbers(0, 9999, "uint16", 4, 4) + numbers(0, 9999, "uint16", 3, 6), 3),
        (numbers(0, 9999, "uint16", 4, 5) + numbers(0, 9999, "uint16", 3, 5), 4),
        ([Image.new("RGB", (2, 2), (9, 0, 0))], 3),
    ],
)
def test_auto_is_the_number_of_bands_that_most_images_have(images, channels):
    assert choose_channels(survey(*images).groups, "auto") == channels


def test_a_number_is_a_number():
    assert choose_channels(survey(*numbers(0, 9, "uint16", 13)).groups, 5) == 5


def test_too_many_bands_are_refused_with_what_to_set():
    with pytest.raises(DatasetError, match="the images have 20 bands, and at most 16") as refused:
        choose_channels(survey(*numbers(0, 9, "uint16", 20)).groups, "auto")
    assert "data.channels" in refused.value.hint


@pytest.mark.parametrize(
    ("bands", "channels", "wanted", "photograph", "fits"),
    [
        (3, 3, "auto", False, True),
        (1, 3, "auto", False, True),
        (3, 1, 1, False, True),
        (4, 3, "auto", False, False),
        (4, 3, 3, False, True),
        (3, 4, 4, False, False),
        (3, 4, 4, True, True),
        (1, 5, 5, False, False),
    ],
)
def test_bands_are_dropped_only_if_a_number_is_set(bands, channels, wanted, photograph, fits):
    assert fits_channels(bands, channels, wanted, photograph=photograph) is fits


def test_groups_that_fit_are_selected():
    found = survey(*numbers(0, 9, "uint16", 4, 6), *numbers(0, 9, "uint16", 3, 4))
    assert [group.bands for group in select_groups(found, 4, "auto")] == [4]
    assert [group.bands for group in select_groups(found, 3, 3)] == [4, 3]
