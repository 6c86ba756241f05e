"""How networks grow: which settings are chosen for larger images, and which pairs are a growth."""

import pytest

from iddm_cli.profiles.model_settings import DiTSettings, IddmUNetSettings, UNetSettings
from iddm_cli.profiles.origins.growth import Growth, choose_growth, find_growth, measure_ratio

LEVELS = {"channel_multipliers": [1, 2, 2], "attention_levels": [1], "patch_size": 2}
UNET = UNetSettings(**LEVELS)
DIT = DiTSettings(network="dit", patch_size=2)


def grow(before, old: int, new: int | tuple[int, int], **given) -> dict[str, object]:
    size = (new, new) if isinstance(new, int) else new
    keys = {f"model.{key}": value for key, value in given.items()}
    chosen = choose_growth(before, ((old, old), size), keys)
    return {key.removeprefix("model."): value for key, value in chosen.items()}


@pytest.mark.parametrize(
    ("new", "levels"), [(64, 1), (128, 2), (96, 2), (80, 1), (32, 0), (16, 0), ((128, 256), 2)]
)
def test_a_unet_gets_a_level_for_each_doubling_by_which_images_can_be_divided(new, levels):
    wanted = {"channel_multipliers": [1] * levels + [1, 2, 2], "attention_levels": [1 + levels]}
    assert grow(UNET, 32, new) == (wanted if levels else {})


def test_what_is_given_is_kept_and_the_rest_follows():
    assert grow(UNET, 32, 128, patch_size=4)["channel_multipliers"] == [1, 1, 2, 2]
    assert grow(UNET, 32, 128, patch_size=8) == {}
    assert grow(UNET, 32, 128, channel_multipliers=[1, 1, 2, 2]) == {"attention_levels": [2]}
    assert grow(UNET, 32, 128, channel_multipliers=[1, 2, 2]) == {}
    assert "attention_levels" not in grow(UNET, 32, 64, attention_levels=[2, 3])


def test_a_transformer_gets_larger_patches_and_a_fixed_network_nothing():
    assert grow(DIT, 32, 128) == {"patch_size": 8}
    assert grow(DIT, 32, 128, patch_size=4) == {}
    assert grow(IddmUNetSettings(network="iddm-unet"), 32, 128) == {}


@pytest.mark.parametrize(
    ("changes", "growth"),
    [
        ({}, Growth()),
        ({"patch_size": 4}, Growth(patch=2)),
        ({"channel_multipliers": [1, 1, 2, 2], "attention_levels": [2]}, Growth(levels=1)),
        ({"channel_multipliers": [1, 1, 2, 2], "attention_levels": [0, 2]}, Growth(levels=1)),
        ({"channel_multipliers": [1, 1, 2, 2]}, None),
        ({"channel_multipliers": [1, 2, 2, 2], "attention_levels": [2]}, None),
        ({"channel_multipliers": [2, 2]}, None),
        ({"channel_multipliers": [2, 1, 2, 2], "attention_levels": [2]}, None),
        ({"patch_size": 3}, None),
    ],
)
def test_a_growth_keeps_what_is_inside(changes, growth):
    assert find_growth(UNET, UNetSettings(**{**LEVELS, **changes})) == growth


def test_a_transformer_grows_by_whole_patches_and_into_no_other_network():
    assert find_growth(DIT, DIT.model_copy(update={"patch_size": 6})) == Growth(patch=3)
    assert find_growth(DIT, DIT.model_copy(update={"patch_size": 3})) is None
    assert find_growth(DIT, UNET) is None
    assert not Growth()
    assert Growth(levels=1)


def test_the_ratio_is_that_of_the_sides():
    assert measure_ratio((32, 32), (64, 256)) == 4
