"""Model settings: a union discriminated by the network, each backbone with its own settings."""

import inspect

import pytest

from iddm_cli.errors import ProfileError
from iddm_cli.networks import NETWORKS
from iddm_cli.profiles.model_settings import (
    MODEL_SETTINGS,
    BackboneSettings,
    IddmUNetSettings,
)
from iddm_cli.profiles.profile import Profile
from iddm_cli.profiles.writing import build_profile_schema, dump_profile


def test_another_network_drops_the_settings_of_the_files_network(load):
    text = (
        "model:\n  base_channels: 16\n  norm_groups: 8\n  activation: relu\n  head_channels: 16\n"
    )
    other = load(text, "model.network=iddm-unet").model
    assert other == IddmUNetSettings(network="iddm-unet", activation="relu")
    assert load(text, "model.network=unet").model.base_channels == 16
    with pytest.raises(ProfileError, match="base_channels belongs to unet"):
        load(text, "model.network=iddm-unet", "model.base_channels=32")


def test_every_backbone_has_settings_and_a_network():
    assert sorted(MODEL_SETTINGS) == sorted(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_takes_exactly_its_settings(name):
    parameters = set(inspect.signature(NETWORKS[name]).parameters)
    of_data = {"channels", "num_classes", "augmentation", "condition_channels"}
    others = {*BackboneSettings.model_fields, *MODEL_SETTINGS[name].loss_keys}
    assert parameters - of_data == set(MODEL_SETTINGS[name].model_fields) - others
    assert set(MODEL_SETTINGS[name].loss_keys) <= set(MODEL_SETTINGS[name].model_fields)


@pytest.mark.parametrize(
    ("network", "given"), [("vit", "'vit'"), ("null", "null"), ("3", "3"), ("[unet]", "['unet']")]
)
def test_an_unknown_network_is_refused_with_the_known_ones(refuse, network, given):
    error = refuse(f"model:\n  network: {network}\n  base_channels: 32\n")
    expected = "model.network must be one of unet, iddm-unet, dit or autoencoder"
    assert error.problem == f"mine.yaml, line 2: {expected}, not {given}"


def test_a_misspelled_network_gets_a_suggestion(refuse):
    assert refuse("model:\n  network: idm-unet\n").hint == "Did you mean iddm-unet?"


def test_a_foreign_setting_is_named_with_its_line_and_its_owner(refuse):
    error = refuse("model:\n  network: iddm-unet\n  activation: gelu\n  norm_groups: 8\n")
    problem = "mine.yaml, line 4: model.norm_groups belongs to unet, autoencoder, not to iddm-unet"
    assert (error.problem, error.hint) == (problem, "Leave it out.")


def test_profiles_that_spell_out_all_settings_for_every_network_still_load(load):
    """Format 1 of the run folder did so, at the defaults of the U-Net."""
    keys = "\n".join(dump_profile(Profile()).split("model:\n")[1].splitlines()[1:15])
    assert "norm_eps: 1e-05" in keys
    loaded = load(f"model:\n  network: iddm-unet\n{keys}\n").model
    assert loaded == IddmUNetSettings(network="iddm-unet", activation="silu")


def test_a_saved_profile_has_the_settings_of_its_network_only(load):
    text = dump_profile(load("model:\n  network: iddm-unet\n  activation: gelu\n"))
    model = text.split("\nmodel:\n")[1].split("\n\n")[0]
    assert model.startswith("  network: iddm-unet\n") and model.endswith("\n  activation: gelu")
    assert len(model.splitlines()) == len(IddmUNetSettings.model_fields)


def test_the_schema_tells_the_networks_apart():
    definitions = build_profile_schema()["$defs"]
    assert definitions["UNetSettings"]["properties"]["network"]["const"] == "unet"
    assert definitions["IddmUNetSettings"]["required"] == ["network"]
