"""The autoencoder of a run on latents."""

from types import SimpleNamespace

import pytest

from iddm_cli.errors import ProfileError, RunError, UsageError
from iddm_cli.profiles.profile import Profile
from iddm_cli.workflows import models
from iddm_cli.workflows.latents import encoder_source
from iddm_cli.workflows.latents.encoder_source import adopt_encoder, find_encoder

AUTOENCODER = {"model": {"network": "autoencoder", "downsampling": 4, "latent_channels": 3}}


def encoder(channels: int = 3) -> SimpleNamespace:
    profile = Profile.model_validate(AUTOENCODER).resolve(channels)
    return SimpleNamespace(name="codec", load_profile=lambda: profile)


def latent(**data: object) -> Profile:
    return Profile.model_validate({"data": {"encoder": "codec", **data}})


def test_the_profile_takes_channels_and_latents_of_its_autoencoder():
    adopted = adopt_encoder(latent(), encoder())
    assert (adopted.data.channels, adopted.data.latents) == (3, [3, 4])


def test_images_of_other_channels_are_refused():
    with pytest.raises(UsageError, match=r"data.channels is 1.*codec was trained on 3"):
        adopt_encoder(latent(channels=1), encoder())


def test_a_size_that_does_not_suit_the_latents_is_refused():
    with pytest.raises(ProfileError, match="24 x 24 must be divisible by 16"):
        adopt_encoder(latent(image_size=24), encoder())


def test_without_an_encoder_nothing_is_opened(tmp_path):
    assert find_encoder(Profile(), tmp_path) is None


def test_a_missing_autoencoder_is_named_with_the_setting(tmp_path):
    with pytest.raises(RunError, match=r"data\.encoder: ") as refused:
        find_encoder(latent(), tmp_path)
    assert "--profile autoencoder" in refused.value.hint


def test_another_network_is_refused(tmp_path, monkeypatch):
    other = SimpleNamespace(load_profile=lambda _: Profile())
    monkeypatch.setattr(models, "find_model", lambda *_: other)
    assert encoder_source.models is models
    with pytest.raises(UsageError, match="codec is not an autoencoder"):
        find_encoder(latent(), tmp_path)
