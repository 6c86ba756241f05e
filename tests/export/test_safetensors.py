"""The safetensors file: all that drawing needs, and damage is found."""

import json
import os

import pytest
import torch
from safetensors.torch import load, save

from iddm_cli.build.models import load_denoiser
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.exported_weights import ExportedWeights
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.runs.exported_file import KEY, open_exported_file
from tests.export.conftest import trained


@pytest.fixture
def model():
    return trained(data={"path": "/home/somebody/secret/steel"})


@pytest.fixture
def file(tmp_path, model):
    path = tmp_path / "steel.safetensors"
    path.write_bytes(build_safetensors(model))
    return path


def rewritten(file, change) -> None:
    """Write the file with another record."""
    raw = file.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    record = json.loads(json.loads(raw[8:end])["__metadata__"][KEY])
    change(record)
    file.write_bytes(save(load(raw), {KEY: json.dumps(record)}))


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


def test_no_folder_of_the_machine_is_told(file):
    raw = file.read_bytes()
    assert b"somebody" not in raw
    assert open_exported_file(file).record.profile["data"]["path"] == "steel"


def test_any_program_finds_the_tensors_under_the_names_of_the_network(file, model):
    assert load(file.read_bytes()).keys() == model.denoiser.backbone.state_dict().keys()


@pytest.mark.parametrize("place", [0.02, 0.3, 0.99])
def test_a_flipped_bit_is_found(file, place, model):
    raw = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    raw[start + int(place * (len(raw) - start))] ^= 1
    file.write_bytes(raw)
    saved = ExportedWeights(open_exported_file(file))
    with pytest.raises(CheckpointError, match="its SHA-256 has changed"):
        saved.read("average", model.denoiser.backbone.state_dict())


@pytest.mark.parametrize("length", [0, 5, 8, 100, -1, -5000])
def test_a_file_that_was_cut_off_is_found(file, length, model):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError):
        ExportedWeights(open_exported_file(file)).read(
            "average", model.denoiser.backbone.state_dict()
        )


def test_the_other_weights_are_not_there(file):
    with pytest.raises(UsageError, match="holds the average weights only"):
        ExportedWeights(open_exported_file(file)).read("model")


def test_numbers_that_are_not_finite_are_refused(tmp_path, model):
    next(model.denoiser.parameters()).fill_(float("nan"))
    path = tmp_path / "nan.safetensors"
    path.write_bytes(build_safetensors(model))
    with pytest.raises(CheckpointError, match="not finite"):
        ExportedWeights(open_exported_file(path)).read("average")


def test_a_file_of_a_newer_format_says_what_to_do(file):
    rewritten(file, lambda record: record.update(format=2))
    with pytest.raises(CheckpointError, match="has format 2") as refused:
        open_exported_file(file)
    assert "version of iddm" in refused.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": "5"}, {"classes": "abc"}, {"weights": "best"}, {"profile": []},
        {"format": True}, {"sha256": "x"}, {"run": 5},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_wrong_types_is_damage(file, change):
    rewritten(file, lambda record: record.update(change))
    with pytest.raises(CheckpointError, match="damaged"):
        open_exported_file(file)


def test_somebody_elses_file_says_how_to_make_one(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(save({"weight": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match="was not exported by iddm") as refused:
        open_exported_file(path)
    assert "iddm export safetensors" in refused.value.hint


def test_a_pipe_does_not_hold_anybody_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        open_exported_file(tmp_path / "pipe.safetensors")


def test_a_header_that_lies_about_its_size_takes_no_memory(tmp_path):
    path = tmp_path / "liar.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="no safetensors file"):
        open_exported_file(path)
