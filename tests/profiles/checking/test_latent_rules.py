"""Rules of autoencoders."""

import pytest

from iddm_cli.profiles.checking.latent_rules import check_latents
from iddm_cli.profiles.checking.size_rules import check_image_size
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


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"data": {"crop": 32}}, "data.crop"),
        ({"data": {"horizontal_flip": True}}, "data.horizontal_flip"),
        ({"data": {"random_crop": 0.8}}, "data.random_crop"),
        ({"data": {"rotation": 5.0}}, "data.rotation"),
        ({"data": {"augment": 0.1}}, "data.augment"),
        ({"sampling": {"threshold": 0.99}}, "sampling.threshold"),
        ({"model": {"condition": "low_resolution"}}, "model.condition"),
        ({"model": {"network": "autoencoder"}}, "model.network"),
    ],
)
def test_what_does_not_work_on_latents_is_named(changes, key):
    encoded = {**changes, "data": {"encoder": "codec", **changes.get("data", {})}}
    assert [".".join(one.path) for one in check_latents(Profile.model_validate(encoded))] == [key]


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"data": {"image_size": 16}}, "model.discriminator_layers", "discriminator_layers=2"),
        ({"data": {"crop": 16}}, "model.discriminator_layers", "discriminator_layers=2"),
        ({"runtime": {"sharding": "fsdp"}}, "runtime.sharding", "sharding: none"),
    ],
)
def test_what_does_not_work_with_a_discriminator_is_named(changes, key, hint):
    model = {"network": "autoencoder", "discriminator_weight": 0.5}
    (issue,) = check_latents(Profile.model_validate({**changes, "model": model}))
    assert ".".join(issue.path) == key
    assert hint in issue.hint
    model["discriminator_weight"] = 0.0
    assert list(check_latents(Profile.model_validate({**changes, "model": model}))) == []


def test_a_shape_of_latents_needs_an_encoder():
    (issue,) = check_latents(Profile.model_validate({"data": {"latents": [4, 8]}}))
    assert issue.path == ("data", "latents")


def test_the_size_is_checked_once_the_downsampling_is_known():
    data = {"image_size": 24, "encoder": "codec"}
    assert list(check_image_size(Profile.model_validate({"data": data}))) == []
    known = Profile.model_validate({"data": {**data, "latents": [4, 8]}})
    (issue,) = check_image_size(known)
    assert "divisible by 32" in issue.problem


def test_what_the_network_computes_are_latents_without_clipping():
    data = {"image_size": [64, 128], "encoder": "codec", "latents": [4, 8]}
    profile = {"data": data, "diffusion": {"noise_shift": "auto"}}
    resolved = Profile.model_validate(profile).resolve(3)
    assert resolved.data.shape == (3, 64, 128)
    assert resolved.input_shape == resolved.data.diffused_shape == (4, 8, 16)
    assert resolved.diffusion.noise_shift == 1
    assert not resolved.sampling.clip
    assert Profile().resolve(3).sampling.clip
