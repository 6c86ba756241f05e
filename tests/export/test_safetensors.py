"""The safetensors file: weights and profile come back."""

import torch
from safetensors.torch import load

from iddm_cli.build.models import load_denoiser
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.exported_file import open_exported_file


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
