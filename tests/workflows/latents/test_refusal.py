"""What an autoencoder run cannot be used for."""

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.profiles.profile import Profile
from iddm_cli.workflows.latents.refusal import check_generates


def test_an_autoencoder_generates_nothing_and_the_hint_says_what_it_has():
    profile = Profile.model_validate({"model": {"network": "autoencoder"}})
    with pytest.raises(UsageError, match="mine is an autoencoder") as caught:
        check_generates(profile, "mine")
    assert "sample grids and metrics.jsonl of mine" in caught.value.hint


def test_other_models_pass():
    check_generates(Profile(), "mine")
