"""The scale of latents, as dataset.json records it."""

import pytest

from iddm_cli.records.latent_scale import LatentScale, parse_latent_scale

SCALE = LatentScale((0.5, -1.0), (0.25, 2.0))


def test_what_is_recorded_is_read():
    assert parse_latent_scale({"latents": SCALE.to_json()}) == SCALE


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"mean": None}, "latents.mean"),
        ({"mean": [True, 1]}, "latents.mean"),
        ({"deviation": []}, "latents.deviation"),
        ({"deviation": ["1", 2]}, "latents.deviation"),
        ({"deviation": [1.0]}, "latents.deviation"),
        ({"deviation": [1.0, 0.0]}, "latents.deviation"),
    ],
)
def test_a_damaged_record_names_its_key(changes, key):
    with pytest.raises(ValueError, match=f"^{key}$"):
        parse_latent_scale({"latents": SCALE.to_json() | changes})


def test_a_missing_record_is_an_error():
    with pytest.raises(ValueError, match="latents"):
        parse_latent_scale({})
