"""The safetensors file: weights and profile come back."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from iddm_cli.build.models import load_denoiser
from iddm_cli.errors import CheckpointError
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.exported_file import open_exported_file
from tests.export.latent_models import SCALE, latent
from tests.tuned import make_tables


def test_weights_and_profile_come_back(file, model):
    exported = open_exported_file(file)
    record = exported.record
    profile = ResolvedProfile.model_validate(record.profile)
    assert (record.run, record.step, record.classes) == ("steel", 500, ["cat", "dog"])
    assert profile.model == model.profile.model
    saved = ExportedWeights(exported)
    place = torch.device("cpu")
    denoiser = load_denoiser(profile, len(record.classes), saved, record.weights, place)
    wanted = model.denoiser.state_dict()
    found = denoiser.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_file_contains_no_path_of_the_machine(file):
    raw = file.read_bytes()
    assert b"somebody" not in raw
    assert open_exported_file(file).record.profile["data"]["path"] == "steel"


def test_any_program_finds_the_tensors_under_the_names_of_the_network(file, model):
    assert load(file.read_bytes()).keys() == model.denoiser.backbone.state_dict().keys()


def test_the_file_carries_the_tuned_tables(tmp_path, model):
    tables = make_tables(4, 6)
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(build_safetensors(replace(model, tables=tables)))
    assert open_exported_file(path).read_tuned_tables().tables == tables.tables
    path.write_bytes(build_safetensors(model))
    assert not open_exported_file(path).read_tuned_tables()


def test_damaged_tables_of_a_file_are_named(tmp_path, model):
    broken = replace(
        make_tables(4), tables=(make_tables(4).find(4).model_copy(update={"calls": 5}),)
    )
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(build_safetensors(replace(model, tables=broken)))
    with pytest.raises(CheckpointError, match=r"tuned\.tables\.0"):
        open_exported_file(path).read_tuned_tables()


def test_the_file_of_a_latent_model_contains_its_autoencoder(tmp_path):
    model = latent()
    path, alone = tmp_path / "latent.safetensors", tmp_path / "codec.safetensors"
    path.write_bytes(build_safetensors(model))
    alone.write_bytes(build_safetensors(model.latents.autoencoder))
    assert b"somebody" not in path.read_bytes()
    exported = open_exported_file(path)
    inside = exported.open_autoencoder()
    assert exported.read_latent_scale() == SCALE
    for file, wanted in ((exported, model), (inside, model.latents.autoencoder)):
        found, weights = ExportedWeights(file).read("average"), wanted.denoiser.backbone
        assert found.keys() == weights.state_dict().keys()
        assert all(torch.equal(found[name], w) for name, w in weights.state_dict().items())
    record = open_exported_file(alone).record
    assert inside.record == record, "as a file of its own describes it"


def test_a_changed_autoencoder_is_found(tmp_path):
    path = tmp_path / "latent.safetensors"
    content = bytearray(build_safetensors(latent()))
    content[-1] ^= 1
    path.write_bytes(content)
    inside = open_exported_file(path).open_autoencoder()
    with pytest.raises(CheckpointError, match="SHA-256 has changed"):
        ExportedWeights(inside).read("average")
    path.write_bytes(build_safetensors(replace(latent(), latents=None)))
    with pytest.raises(CheckpointError, match="contains no autoencoder"):
        open_exported_file(path).open_autoencoder()
