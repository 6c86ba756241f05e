"""Rules of autoencoders."""

import pytest

from iddm_cli.profiles.checking.latent_rules import check_latents
from iddm_cli.profiles.profile import Profile

AUTOENCODER = {"model": {"network": "autoencoder"}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": {"augment": 0.1}}, "data.augment"),
        ({"training": {"keep_best": "mind"}}, "training.keep_best"),
        ({"training": {"lora_rank": 4}}, "training.lora_rank"),
        ({"distillation": {"teacher": "run"}}, "distillation.teacher"),
        ({"model": {"condition": "low_resolution"}}, "model.condition"),
    ],
)
def test_what_an_autoencoder_cannot_use_is_named(changes, key):
    model = {"network": "autoencoder", **changes.get("model", {})}
    (issue,) = check_latents(Profile.model_validate({**changes, "model": model}))
    assert ".".join(map(str, issue.path)) == key
    assert list(check_latents(Profile.model_validate(changes))) == []


def test_a_plain_autoencoder_has_no_issues():
    profile = {**AUTOENCODER, "training": {"keep_best": "held_out_loss"}}
    assert list(check_latents(Profile.model_validate(profile))) == []
