"""The autoencoder of a trained latent model."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.errors import CheckpointError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.export.trained_model import LatentSpace
from iddm_cli.records.latent_scale import LatentScale
from iddm_cli.runs.run import Run
from iddm_cli.workflows.latents.own_encoder import (
    list_decoder_facts,
    load_latent_space,
    load_model_decoder,
    open_own_encoder,
    open_run_encoder,
)
from iddm_cli.workflows.models import find_model
from tests.export.conftest import trained
from tests.export.latent_models import AUTOENCODER, SCALE, latent


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "latent.safetensors"
    path.write_bytes(build_safetensors(latent()))
    return find_model(None, str(path))


def test_an_exported_file_decodes_as_the_model_did(exported):
    wanted, profile = latent(), exported.load_profile([])
    z = torch.randn(2, *wanted.diffused_shape)
    decoder = load_model_decoder(exported, profile, torch.device("cpu"))
    assert torch.equal(decoder.decode(z), wanted.decoder.decode(z))
    space = load_latent_space(exported, profile)
    assert (space.autoencoder.run, space.autoencoder.step, space.scale) == ("codec", 40, SCALE)
    assert len(list_decoder_facts(exported, profile)) == 2


def test_models_of_pixels_have_none(tmp_path):
    path = tmp_path / "steel.safetensors"
    path.write_bytes(build_safetensors(trained()))
    model = find_model(None, str(path))
    profile = model.load_profile([])
    assert load_latent_space(model, profile) is None
    assert load_model_decoder(model, profile, torch.device("cpu")) is None
    assert list_decoder_facts(model, profile) == []


def test_a_run_without_its_copy_says_where_the_file_may_be(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(CheckpointError, match=r"has lost .*encoder\.safetensors: No such") as lost:
        open_run_encoder(run)
    assert "a copy of the run" in lost.value.hint
    content = build_safetensors(latent().latents.autoencoder)
    run.encoder_path.write_bytes(content)
    assert open_run_encoder(run).name == "codec"
    run.encoder_path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="its SHA-256 has changed"):
        open_run_encoder(run)


@pytest.mark.parametrize(
    "latents",
    [
        LatentSpace(latent().latents.autoencoder, LatentScale((0.0,), (1.0,))),
        LatentSpace(trained(()), SCALE),
        LatentSpace(
            trained((), data={"image_size": 32}, model={**AUTOENCODER, "downsampling": 8}), SCALE
        ),
    ],
    ids=["scale", "network", "downsampling"],
)
def test_another_network_in_its_place_is_damage(tmp_path, latents):
    path = tmp_path / "latent.safetensors"
    path.write_bytes(build_safetensors(replace(latent(), latents=latents)))
    with pytest.raises(CheckpointError, match="holds another network than the autoencoder"):
        open_own_encoder(find_model(None, str(path)))
