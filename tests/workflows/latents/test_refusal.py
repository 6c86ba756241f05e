"""What an autoencoder run cannot be used for."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.profiles.profile import Profile
from iddm_cli.workflows.latents.refusal import (
    check_benched,
    check_generates,
    check_latent_options,
)

LATENT = Profile.model_validate({"data": {"encoder": "codec"}})


def test_an_autoencoder_generates_nothing_and_the_hint_says_what_it_has():
    profile = Profile.model_validate({"model": {"network": "autoencoder"}})
    with pytest.raises(UsageError, match="mine is an autoencoder") as caught:
        check_generates(profile, "mine")
    assert "iddm evaluate mine" in caught.value.hint


def test_other_models_pass():
    check_generates(Profile(), "mine")


def test_options_about_pixels_are_refused_on_latents():
    with pytest.raises(UsageError, match="--mask needs a model of pixels"):
        check_latent_options(LATENT, "mine", {"--mask", "--count"})
    check_latent_options(LATENT, "mine", {"--count"})
    check_latent_options(Profile(), "mine", {"--mask"})


def test_latents_of_noise_are_timed_where_their_shape_is_known():
    with pytest.raises(UsageError, match="the shape of a latent"):
        check_benched(LATENT, has_data=False)
    known = Profile.model_validate({"data": {"encoder": "codec", "latents": [4, 8]}})
    check_benched(known, has_data=False)
    with pytest.raises(UsageError, match="no images"):
        check_benched(known, has_data=True)
    check_benched(Profile(), has_data=True)
