"""Folders of diffusers with one or two sets of weights: raw and EMA are never confused."""

import json
import shutil

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file

from iddm_cli.build.importing import import_model
from iddm_cli.build.networks import build_denoiser
from iddm_cli.errors import CheckpointError
from iddm_cli.importing.imported_model import ImportedModel
from iddm_cli.importing.options import ImportOptions
from tests.importing.diffusers_folders import change, network

NAME = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """What train_unconditional.py writes: the EMA as a pipeline, and a checkpoint with both."""
    folder = tmp_path_factory.mktemp("script")
    model = network(block_out_channels=(8, 16), norm_num_groups=4, layers_per_block=1)
    model.requires_grad_(True)  # EMAModel copies what is not trained
    ema = EMAModel(model.parameters(), decay=0.75, model_cls=UNet2DModel, model_config=model.config)
    for _ in range(3):
        for parameter in model.parameters():
            parameter.data.add_(0.1)
        ema.step(model.parameters())
    checkpoint = folder / "checkpoint-1000"
    model.save_pretrained(checkpoint / "unet")
    ema.save_pretrained(checkpoint / "unet_ema")
    for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (checkpoint / name).write_bytes(b"not read")
    (folder / "checkpoint-500" / "unet").mkdir(parents=True)
    ema.copy_to(model.parameters())
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    DDPMPipeline(model, scheduler).save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(script, tmp_path):
    """A copy of a checkpoint with raw and EMA weights, without anything above it."""
    shutil.copytree(script / "checkpoint-1000", tmp_path / "checkpoint-1000")
    return tmp_path / "checkpoint-1000"


def outputs(model: ImportedModel, which: str) -> torch.Tensor:
    """Return what the imported network computes with its raw or average weights."""
    denoiser = build_denoiser(model.profile, 0).requires_grad_(False).eval()
    denoiser.backbone.load_state_dict(getattr(model, which))
    x, t = inputs()
    return denoiser.backbone(x, t, torch.zeros(2, dtype=torch.int64))


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 16, 16, generator=generator), torch.tensor([3, 700])


def theirs(folder) -> torch.Tensor:
    """Return what diffusers computes with a folder's weights."""
    with torch.no_grad():
        return UNet2DModel.from_pretrained(folder, low_cpu_mem_usage=False)(*inputs()).sample


def check_pair(model: ImportedModel, raw, average) -> None:
    """Check that raw and average weights compute what diffusers computes with two folders."""
    assert not torch.allclose(theirs(raw), theirs(average), atol=1e-2)
    torch.testing.assert_close(outputs(model, "raw"), theirs(raw), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs(model, "average"), theirs(average), atol=1e-5, rtol=1e-5)


def said(model: ImportedModel) -> str:
    return "\n".join(model.notes)


def test_unet_and_unet_ema_are_raw_and_average(script):
    model = import_model(script / "checkpoint-1000", ImportOptions())
    check_pair(model, script / "checkpoint-1000" / "unet", script / "checkpoint-1000" / "unet_ema")
    assert f"the raw weights are unet/{NAME}, and the EMA weights unet_ema/{NAME}" in said(model)
    assert "(decay 0.75, 3 updates)" in said(model)
    assert "one set" not in said(model)
    assert "iddm left out the optimizer state" in said(model)
    assert model.profile.training.ema_decay == 0.75
    assert model.profile.diffusion.schedule == "cosine", "the scheduler lies one folder above"
    assert "the scheduler is that of the folder above" in said(model)


def test_the_pipeline_of_a_script_is_one_set_and_its_last_checkpoint_is_named(script):
    model = import_model(script, ImportOptions())
    assert model.raw is model.average
    torch.testing.assert_close(
        outputs(model, "average"), theirs(script / "checkpoint-1000" / "unet_ema"),
        atol=1e-5, rtol=1e-5,
    )  # fmt: skip
    assert "one set of weights" in said(model)
    assert "checkpoint-1000 in it holds raw and EMA weights" in said(model)


@pytest.mark.parametrize("name", ["ema_unet", "ema"])
def test_other_names_of_the_ema_are_known(checkpoint, name):
    (checkpoint / "unet_ema").rename(checkpoint / name)
    model = import_model(checkpoint, ImportOptions())
    check_pair(model, checkpoint / "unet", checkpoint / name)


@pytest.mark.parametrize("part", ["unet", "unet_ema"])
def test_one_folder_alone_is_one_set_and_the_other_is_named(checkpoint, part):
    model = import_model(checkpoint / part, ImportOptions())
    assert model.raw is model.average
    torch.testing.assert_close(
        outputs(model, "raw"), theirs(checkpoint / part), atol=1e-5, rtol=1e-5
    )
    other = "unet" if part == "unet_ema" else "unet_ema"
    assert f"{other} beside it was not read" in said(model)
    assert ("they are EMA weights" in said(model)) is (part == "unet_ema")
    shutil.rmtree(checkpoint / other)
    whole = import_model(checkpoint, ImportOptions())
    assert torch.equal(outputs(whole, "average"), outputs(model, "average"))


@pytest.mark.parametrize("variant", ["non_ema", "ema"])
def test_variants_of_one_folder_are_a_pair(checkpoint, tmp_path, variant):
    both = tmp_path / "both"
    usual, other = ("unet_ema", "unet") if variant == "non_ema" else ("unet", "unet_ema")
    shutil.copytree(checkpoint / usual, both)
    shutil.copy(checkpoint / other / NAME, both / f"diffusion_pytorch_model.{variant}.safetensors")
    check_pair(import_model(both, ImportOptions()), checkpoint / "unet", checkpoint / "unet_ema")


def test_half_precision_alone_is_read_and_full_precision_wins(checkpoint):
    unet = checkpoint / "unet"
    weights = load_file(unet / NAME)
    half = {name: tensor.half() for name, tensor in weights.items()}
    save_file(half, unet / "diffusion_pytorch_model.fp16.safetensors")
    full = import_model(unet, ImportOptions()).raw
    (unet / NAME).unlink()
    found = import_model(unet, ImportOptions())
    assert all(torch.equal(found.raw[n], full[n].half().float()) for n in full)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
def test_shards_are_joined(checkpoint, tmp_path, safe):
    model = UNet2DModel.from_pretrained(checkpoint / "unet", low_cpu_mem_usage=False)
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB", safe_serialization=safe)
    index = next((tmp_path / "many").glob("*.index.json"))
    assert len(set(json.loads(index.read_text())["weight_map"].values())) > 1
    wanted = import_model(checkpoint / "unet", ImportOptions()).raw
    found = import_model(tmp_path / "many", ImportOptions()).raw
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    shard = next((tmp_path / "many").glob("*-00001-*"))
    shard.unlink()
    with pytest.raises(CheckpointError, match="which is missing"):
        import_model(tmp_path / "many", ImportOptions())
    index.write_text('{"weight_map": {"a": "../elsewhere.safetensors"}}')
    with pytest.raises(CheckpointError, match="outside its folder"):
        import_model(tmp_path / "many", ImportOptions())
    index.write_text("{}")
    with pytest.raises(CheckpointError, match="names no files"):
        import_model(tmp_path / "many", ImportOptions())


def test_an_ema_of_another_network_or_without_weights_is_refused(checkpoint):
    change(checkpoint / "unet_ema", layers_per_block=2)
    with pytest.raises(CheckpointError, match="layers_per_block is 2, not 1"):
        import_model(checkpoint, ImportOptions())
    change(checkpoint / "unet_ema", layers_per_block=1)
    (checkpoint / "unet_ema" / NAME).unlink()
    with pytest.raises(CheckpointError, match="unet_ema has neither"):
        import_model(checkpoint, ImportOptions())


def test_a_folder_of_checkpoints_names_the_last_one(script, tmp_path):
    shutil.copytree(script / "checkpoint-1000", tmp_path / "checkpoint-900")
    shutil.copytree(script / "checkpoint-1000", tmp_path / "checkpoint-1000")
    with pytest.raises(CheckpointError, match="is not a folder of diffusers") as refused:
        import_model(tmp_path, ImportOptions())
    assert refused.value.hint.endswith("checkpoint-1000")


def test_a_checkpoint_of_accelerate_alone_is_explained(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "custom_checkpoint_0.pkl").write_bytes(b"")
    with pytest.raises(CheckpointError, match="a checkpoint of accelerate"):
        import_model(tmp_path, ImportOptions())


def test_an_ema_in_a_pickle_is_reported_as_not_read(checkpoint):
    shutil.rmtree(checkpoint / "unet_ema")
    (checkpoint / "custom_checkpoint_0.pkl").write_bytes(b"")
    model = import_model(checkpoint, ImportOptions())
    assert "does not read custom_checkpoint_0.pkl" in said(model)
