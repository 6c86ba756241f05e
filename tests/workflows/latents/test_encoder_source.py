"""The autoencoder of a run on latents."""

from types import SimpleNamespace

import pytest

from iddm_cli.display import console
from iddm_cli.errors import ProfileError, RunError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.profile import Profile
from iddm_cli.workflows import models
from iddm_cli.workflows.latents import encoder_source
from iddm_cli.workflows.latents.encoder_source import adopt_encoder, find_encoder, find_scale
from iddm_cli.workflows.transferring.trained_source import describe_source
from tests.export.conftest import trained
from tests.export.latent_models import AUTOENCODER as SMALL
from tests.export.latent_models import SCALE
from tests.export.latent_models import latent as latent_model

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


@pytest.fixture
def parent(tmp_path):
    """A latent model in a file, whose autoencoder is called codec."""
    path = tmp_path / "parent.safetensors"
    path.write_bytes(build_safetensors(latent_model()))
    return describe_source(models.find_model(None, str(path)), None, "average")


def write_autoencoder(path, scale: float) -> str:
    autoencoder = trained((), data={"image_size": [16, 32]}, model=SMALL)
    for parameter in autoencoder.denoiser.parameters():
        parameter.mul_(scale)
    path.write_bytes(build_safetensors(autoencoder))
    return str(path)


def test_a_run_on_trained_weights_takes_the_autoencoder_and_the_scale_of_these(tmp_path, parent):
    found = find_encoder(latent(), tmp_path, parent=parent)
    assert (found.path, found.is_inside, found.name) == (parent.path, True, "codec")
    assert found.load_profile().model.is_autoencoder
    assert adopt_encoder(latent(), found).data.latents == [3, 4]
    assert find_scale(None, parent) == SCALE
    assert find_scale(None, None) is None
    same = write_autoencoder(tmp_path / "same.safetensors", 1.0)
    assert find_encoder(latent(encoder=same), tmp_path, parent=parent) == found


def test_weights_of_other_latents_or_of_pixels_are_refused(tmp_path, parent):
    other = write_autoencoder(tmp_path / "other.safetensors", 0.5)
    with pytest.raises(UsageError, match="is not the autoencoder whose latents") as refused:
        find_encoder(latent(encoder=other), tmp_path, parent=parent)
    assert "data.encoder: codec" in refused.value.hint
    with pytest.raises(RunError) as refused:
        find_encoder(latent(encoder="nobody"), tmp_path, parent=parent)
    assert "data.encoder: codec" in refused.value.hint
    path = tmp_path / "pixels.safetensors"
    path.write_bytes(build_safetensors(trained()))
    pixels = describe_source(models.find_model(None, str(path)), None, "average")
    with pytest.raises(UsageError, match="which was trained on pixels"):
        find_encoder(latent(encoder=other), tmp_path, parent=pixels)


def test_an_autoencoder_that_was_trained_further_is_mentioned(tmp_path, parent, monkeypatch):
    changed = write_autoencoder(tmp_path / "changed.safetensors", 0.5)
    find, notes = models.find_model, []
    monkeypatch.setattr(models, "find_model", lambda d, r: find(d, changed if r == "codec" else r))
    monkeypatch.setattr(console, "print_note", notes.append)
    assert find_encoder(latent(), tmp_path, parent=parent).is_inside
    assert "codec has changed since" in notes[0]
