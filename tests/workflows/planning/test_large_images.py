"""Advice on large images: attention with too many positions, and noise that hides too little."""

import pytest

from iddm_cli.workflows.planning.large_images import list_advice
from tests.build.profiles import TINY, tiny_profile


def advise(size: int, *, shift: float = 2.0, **model) -> list[str]:
    return list_advice(
        tiny_profile(
            data={"channels": 1, "image_size": size},
            model={**TINY, **model} if "network" not in model else model,
            diffusion={"noise_shift": shift},
        )
    )


def test_small_images_need_no_advice():
    assert advise(64, shift=1.0, attention_levels=[0, 1]) == []
    assert advise(128) == []


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ({"attention_levels": [0, 1]}, "--set model.attention_levels=[1]"),
        ({"attention_levels": [0]}, "--set model.attention_levels=[1]"),
        ({"network": "dit", "patch_size": 1}, "--set model.patch_size=2 has a quarter"),
        ({"network": "iddm-unet"}, "their square"),
    ],
)
def test_attention_with_too_many_positions_is_named_with_what_to_set(model, remedy):
    (said,) = advise(128, **model)
    assert said.startswith("attention over 16,384 positions (128 x 128)")
    assert remedy in said


def test_where_no_level_is_affordable_patches_are():
    (said,) = advise(256)
    assert said.endswith("--set model.patch_size=2 has a quarter of them")


def test_an_unshifted_schedule_is_named_from_above_128():
    assert advise(128, shift=1.0) == []
    (said,) = advise(132, shift=1.0, patch_size=2)
    assert "--set diffusion.noise_shift=auto" in said


def test_an_autoencoder_adds_no_noise():
    assert advise(256, shift=1.0, network="autoencoder") == []
