"""Our own exports as one file: they come back whole, and say nothing that is believed unseen."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from iddm_cli.build.importing import import_model
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.safetensors import build_safetensors
from iddm_cli.importing.imported_model import UNKNOWN_DATA_PATH
from iddm_cli.importing.options import ImportOptions
from iddm_cli.workflows.importing import import_run
from iddm_cli.workflows.latents.own_encoder import open_run_encoder
from tests.export.conftest import trained
from tests.export.latent_models import SCALE, latent


@pytest.fixture(scope="module")
def model():
    made = trained(data={"path": "/home/somebody/secret"})
    runtime = made.profile.runtime.model_copy(update={"device": "cuda:7"})
    return replace(made, profile=made.profile.model_copy(update={"runtime": runtime}))


def document(model, **changes) -> dict:
    return {
        "format": 1, "run": model.run, "step": model.step, "weights": model.weights,
        "profile": model.profile.model_dump(), "classes": list(model.classes),
        "versions": {"iddm": "0.1.0"}, **changes,
    }  # fmt: skip


@pytest.fixture
def read(tmp_path, model):
    def write_and_read(header: dict[str, str], tensors=None, asked=None):
        path = tmp_path / "model.safetensors"
        state = tensors or model.denoiser.backbone.state_dict()
        stored = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(stored, path, metadata=header)
        return import_model(path, asked or ImportOptions())

    return write_and_read


def test_it_comes_back_whole(read, model):
    back = read({"iddm": json.dumps(document(model))})
    state = model.denoiser.backbone.state_dict()
    for weights in (back.raw, back.average):
        assert weights.keys() == state.keys()
        assert all(torch.equal(weights[name], state[name]) for name in state)
    assert back.classes == model.classes
    for section in ("model", "diffusion", "training", "sampling", "data"):
        found = getattr(back.profile, section).model_dump()
        wanted = getattr(model.profile, section).model_dump()
        assert found == {**wanted, **({"path": UNKNOWN_DATA_PATH} if section == "data" else {})}
    assert back.profile.runtime.device == "auto", "the other machine's devices are not ours"


def test_what_the_exporter_writes_comes_back(tmp_path, model):
    path = tmp_path / "model.safetensors"
    path.write_bytes(build_safetensors(model))
    back = import_model(path, ImportOptions())
    state = model.denoiser.backbone.state_dict()
    assert all(torch.equal(back.average[name], state[name]) for name in state)
    assert (back.classes, back.profile.model) == (model.classes, model.profile.model)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="its SHA-256 has changed"):
        import_model(path, ImportOptions())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "has format 2; this version of iddm reads 1"),
        ({"format": None}, "is damaged: format"),
        ({"run": "../../elsewhere"}, "is damaged: run"),
        ({"run": "a\\b"}, "is damaged: run"),
        ({"run": "a\nb"}, "is damaged: run"),
        ({"run": "a\n"}, "is damaged: run"),
        ({"run": ""}, "is damaged: run"),
        ({"classes": ["a", "a"]}, "class names"),
        ({"classes": [1, 2]}, "is damaged: classes.0"),
        ({"classes": ["a", "b", "c"]}, "wrong shape: embedding.classes.weight"),
        ({"profile": None}, "is damaged: profile"),
        ({"profile": {"data": 5}}, "contains no profile"),
        ({"profile": {"data": {"channels": "auto"}}}, "does not contain the number of channels"),
        ({"profile": {"data": {"channels": 3}, "code": "x"}}, "unknown setting code"),
        ({"profile": {"data": {"channels": 3}, "model": {"base_channels": 10**6}}},
         "model.base_channels must be at most 4096"),
    ],
)  # fmt: skip
def test_an_invalid_record_is_one_sentence(read, model, changes, said):
    with pytest.raises(CheckpointError) as refused:
        read({"iddm": json.dumps(document(model, **changes))})
    assert said in refused.value.problem
    assert "\n" not in refused.value.problem


@pytest.mark.parametrize("header", [{}, {"iddm": ""}, {"iddm": "["}, {"iddm": "[" * 10**5}])
def test_a_file_without_a_header_of_ours_is_refused(read, header):
    with pytest.raises(CheckpointError, match=r"was not exported by iddm|is not valid JSON"):
        read(header)


def test_every_tensor_is_accounted_for(read, model):
    header = {"iddm": json.dumps(document(model))}
    state = dict(model.denoiser.backbone.state_dict())
    with pytest.raises(CheckpointError, match=r"unexpected: more"):
        read(header, state | {"more": torch.zeros(1)})
    state["conv_out.bias"] = torch.full((3,), torch.inf)
    with pytest.raises(CheckpointError, match=r"conv_out\.bias holds numbers"):
        read(header, state)
    state.pop("conv_out.bias")
    with pytest.raises(CheckpointError, match=r"missing: conv_out\.bias"):
        read(header, state)


def test_an_option_for_what_the_file_contains_is_refused(read, model):
    header = {"iddm": json.dumps(document(model))}
    with pytest.raises(UsageError, match="--image-size has no effect"):
        read(header, asked=ImportOptions(image_size=8))


def test_an_average_of_a_chosen_length_becomes_the_average_of_the_new_run(read, model):
    profile = model.profile.model_dump()
    profile["sampling"]["weights"] = "average-0.1"
    back = read({"iddm": json.dumps(document(model, weights="average-0.1", profile=profile))})
    assert back.profile.sampling.weights == "average"
    name, tensor = next(iter(model.denoiser.backbone.state_dict().items()))
    assert torch.equal(back.average[name], tensor)


def test_a_latent_model_is_imported_with_its_autoencoder(tmp_path):
    path, model = tmp_path / "latent.safetensors", latent()
    path.write_bytes(build_safetensors(model))
    run, imported = import_run(path, ImportOptions(), runs_dir=tmp_path / "runs", name="mine")
    assert imported.latent_scale == run.read_latent_scale() == SCALE
    found = open_run_encoder(run).open_weights(None, "average").read("average")
    wanted = model.latents.autoencoder.denoiser.backbone.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
