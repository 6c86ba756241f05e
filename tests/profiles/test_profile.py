"""Profiles: resolving decides the number of channels and nothing else."""

import pytest
from pydantic import ValidationError

from iddm_cli.profiles.profile import Profile, ResolvedProfile


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_resolving_sets_the_channels_and_keeps_the_rest(channels):
    profile = Profile.model_validate({"data": {"image_size": [32, 48]}, "training": {"lr": 0.5}})
    resolved = profile.resolve(channels)
    assert resolved.data.shape == (channels, 32, 48)
    expected = profile.model_dump()
    expected["data"]["channels"] = channels
    assert resolved.model_dump() == expected
    assert [*resolved.model_dump()["data"]] == [*expected["data"]], "the order of profile.yaml"


def test_resolving_decides_the_augmentation_by_the_number_of_images():
    def resolve(augment: object, images: int | None) -> object:
        values = {"data": {"augment": augment}, "training": {"epochs": 200}}
        return Profile.model_validate(values).resolve(1, images).data.augment_probability

    assert [resolve("auto", images) for images in (4999, 5000, None)] == [0.12, 0, 0]
    assert [resolve("off", 10), resolve(0.3, 10**6), resolve(0.0, 10)] == [0, 0.3, 0]


def test_a_resolved_profile_has_a_number_of_channels():
    with pytest.raises(ValidationError):
        ResolvedProfile.model_validate({"data": {"channels": "auto"}})
    with pytest.raises(ValidationError):
        Profile().resolve(17)
