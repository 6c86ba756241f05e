"""Folders of diffusers: what they say is said here too, and what cannot be is named."""

import json

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    UNet2DModel,
)
from diffusers.utils import logging
from safetensors.torch import load_file, save_file

from iddm_cli import durable
from iddm_cli.build.importing import import_model
from iddm_cli.build.networks import build_denoiser
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.export.diffusers import build_diffusers_folder
from iddm_cli.export.trained_model import TrainedModel
from iddm_cli.importing.imported_model import ImportedModel
from iddm_cli.importing.options import ImportOptions
from tests.export.conftest import trained
from tests.importing.diffusers_folders import FAMOUS, SCALE_SHIFT, change, network

logging.disable_progress_bar()


def denoiser(model: ImportedModel) -> torch.nn.Module:
    """Return the denoiser of the imported run."""
    made = build_denoiser(model.profile, len(model.classes)).requires_grad_(False).eval()
    made.backbone.load_state_dict(model.average)
    return made


def exported(model: ImportedModel) -> dict[str, bytes]:
    classes, profile = model.classes, model.profile
    return build_diffusers_folder(
        TrainedModel("run", 0, "average", profile, classes, denoiser(model))
    )


@pytest.mark.parametrize(
    "config",
    [
        {},
        FAMOUS,
        SCALE_SHIFT,
        {**SCALE_SHIFT, "num_class_embeds": 3},
        {"num_class_embeds": 3},
        {"in_channels": 1, "out_channels": 1, "dropout": 0.1, "sample_size": (16, 8)},
        {"block_out_channels": (32,), "down_block_types": ("AttnDownBlock2D",),
         "up_block_types": ("AttnUpBlock2D",), "layers_per_block": 1},
        {"block_out_channels": (16, 48, 32), "down_block_types": ["AttnDownBlock2D"] * 3,
         "up_block_types": ["AttnUpBlock2D"] * 3, "attention_head_dim": 16},
    ],
    ids=["defaults", "famous", "scale-shift", "scale-shift classes", "classes", "grey", "flat",
         "three"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_network_computes_the_same_and_is_exported_unchanged(tmp_path, config, form):
    theirs = network(**config)
    theirs.save_pretrained(tmp_path / "in", safe_serialization=form == "safetensors")
    model = import_model(tmp_path / "in", ImportOptions())
    classes = theirs.config.num_class_embeds or 0
    assert len(model.classes) == classes

    x = torch.randn(3, theirs.config.in_channels, 16, 8)
    t, label = torch.tensor([0, 17, 999]), torch.tensor([0, classes // 2, max(0, classes - 1)])
    wanted = theirs(x, t, class_labels=label if classes else None).sample
    found = denoiser(model).backbone(x, t, label)
    assert wanted.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)

    inner = ("unet", "scheduler")
    durable.write_folder(tmp_path / "out", exported(model).items(), inner)
    again = UNet2DModel.from_pretrained(tmp_path / "out" / "unet", low_cpu_mem_usage=False)
    said = again(x, t, class_labels=label if classes else None).sample
    torch.testing.assert_close(said, wanted, atol=1e-6, rtol=1e-5)
    moved = {"class_embedding.weight": classes, "time_embedding.linear_1.weight": "flip" in config}
    for name, tensor in theirs.state_dict().items():
        if name == "class_embedding.weight":
            assert torch.equal(again.state_dict()[name][:-1], tensor)
            assert not again.state_dict()[name][-1].any(), "no class adds nothing"
        elif theirs.config.flip_sin_to_cos or name not in moved:
            assert torch.equal(again.state_dict()[name], tensor), name


def test_our_own_export_comes_back_whole(tmp_path):
    sampling = {
        "guidance": 2.5, "steps": 7, "guidance_interval": [0.1, 0.9], "threshold": 0.95,
    }  # fmt: skip
    model = trained(sampling=sampling, diffusion={"schedule": "cosine"})
    durable.write_folder(
        tmp_path / "first", build_diffusers_folder(model).items(), ("unet", "scheduler")
    )
    back = import_model(tmp_path / "first", ImportOptions())
    assert back.classes == model.classes
    wanted = model.profile.model_dump()
    found = back.profile.model_dump()
    for section in ("model", "diffusion"):
        assert found[section] == wanted[section], section
    assert {key: found["sampling"][key] for key in sampling} == sampling
    state = model.denoiser.backbone.state_dict()
    assert all(torch.equal(back.raw[name], state[name]) for name in state)
    again = exported(back)
    for name in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors",
                 "scheduler/scheduler_config.json", "model_index.json"):  # fmt: skip
        assert again[name] == build_diffusers_folder(model)[name], name


def test_names_can_be_given_and_one_fewer_makes_the_last_row_no_class(tmp_path):
    network(num_class_embeds=3).save_pretrained(tmp_path)
    all_three = import_model(tmp_path, ImportOptions(class_names=("a", "b", "c")))
    assert all_three.classes == ("a", "b", "c")
    assert all_three.profile.sampling.guidance == 1
    assert any("sampling.guidance is 1" in note for note in all_three.notes)
    assert len(all_three.raw["embedding.classes.weight"]) == 4
    two = import_model(tmp_path, ImportOptions(class_names=("a", "b")))
    assert two.profile.sampling.guidance == 3
    assert torch.equal(
        two.raw["embedding.classes.weight"], all_three.raw["embedding.classes.weight"][:3]
    )
    with pytest.raises(UsageError, match="gives 4 names, and the model has 3 classes"):
        import_model(tmp_path, ImportOptions(class_names=tuple("abcd")))


@pytest.mark.parametrize(
    ("theirs", "ours"), [("epsilon", "epsilon"), ("v_prediction", "v"), ("sample", "x")]
)
def test_a_pipeline_in_all_its_shapes(tmp_path, theirs, ours):
    pipeline = DDPMPipeline(network(), DDPMScheduler(prediction_type=theirs, clip_sample=False))
    pipeline.save_pretrained(tmp_path / "new")
    model = import_model(tmp_path / "new", ImportOptions())
    assert model.profile.diffusion.prediction == ours
    assert model.profile.sampling.clip is False
    # In the first days, all files lay side by side.
    old = tmp_path / "old"
    old.mkdir()
    for part in (*(tmp_path / "new" / "unet").iterdir(),
                 *(tmp_path / "new" / "scheduler").iterdir(),
                 tmp_path / "new" / "model_index.json"):  # fmt: skip
        (old / part.name).write_bytes(part.read_bytes())
    assert import_model(old, ImportOptions()).profile == model.profile
    with pytest.raises(UsageError, match="--schedule has no effect"):
        import_model(old, ImportOptions(schedule="cosine"))


def test_without_a_scheduler_the_default_is_assumed_and_reported(folder):
    model = import_model(folder, ImportOptions())
    assert model.profile.diffusion.schedule == "linear"
    assert any("--schedule" in note for note in model.notes)
    other = import_model(folder, ImportOptions(schedule="cosine", image_size=32))
    assert other.profile.diffusion.schedule == "cosine"
    assert other.profile.data.size == (32, 32)


def test_former_names_of_attention_are_understood(folder):
    path = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in state.items():
        for today, then in former.items():
            name = name.replace(f".{today}.", f".{then}.")
        renamed[name] = tensor
    assert renamed.keys() != state.keys()
    wanted = import_model(folder, ImportOptions())
    save_file(renamed, path)
    found = import_model(folder, ImportOptions())
    assert all(torch.equal(found.raw[name], wanted.raw[name]) for name in wanted.raw)
    twice = renamed | {name: tensor.clone() for name, tensor in state.items() if "to_q" in name}
    save_file(twice, path)
    with pytest.raises(CheckpointError, match="are the same"):
        import_model(folder, ImportOptions())


def test_swish_is_silu_and_a_size_that_is_missing_is_asked_for(folder):
    change(folder, act_fn="swish", sample_size=None, encoder_hid_dim=None)
    with pytest.raises(UsageError, match="no sample_size") as refused:
        import_model(folder, ImportOptions())
    assert "--image-size" in refused.value.hint
    assert import_model(folder, ImportOptions(image_size=16)).profile.data.size == (16, 16)


def test_models_of_latents_and_folders_of_something_else_are_refused(tmp_path):
    DDIMPipeline(network(), DDIMScheduler()).save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    document = json.loads(index.read_text())
    index.write_text(json.dumps(document | {"safety_checker": [None, None]}))
    import_model(tmp_path, ImportOptions())
    index.write_text(json.dumps(document | {"vqvae": ["diffusers", "VQModel"]}))
    with pytest.raises(CheckpointError, match="has a vqvae besides its network"):
        import_model(tmp_path, ImportOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="is not a folder of diffusers"):
        import_model(tmp_path / "empty", ImportOptions())


def test_missing_or_truncated_weights_are_reported(folder):
    path = folder / "diffusion_pytorch_model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(CheckpointError, match="is damaged"):
        import_model(folder, ImportOptions())
    path.write_bytes((10**12).to_bytes(8, "little") + content[8:])
    with pytest.raises(CheckpointError, match="is damaged: its header claims"):
        import_model(folder, ImportOptions())
    path.unlink()
    with pytest.raises(CheckpointError, match="has neither diffusion_pytorch_model") as refused:
        import_model(folder, ImportOptions())
    assert "save_pretrained" in refused.value.hint
