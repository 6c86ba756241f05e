"""The diffusers folder: diffusers loads it, computes and generates the same."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline, DiffusionPipeline, UNet2DModel
from diffusers.utils import logging

from iddm_cli import durable
from iddm_cli.build.exporting import load_trained_model
from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.errors import UsageError
from iddm_cli.export.diffusers import build_diffusers_folder, describe_sampling_difference
from iddm_cli.profiles.settings import SamplingSettings
from tests.export.conftest import trained

logging.disable_progress_bar()


def write(folder, model):
    inner = ("unet", "scheduler")
    durable.write_folder(folder, build_diffusers_folder(model).items(), inner)
    return folder


def load(folder):
    pipeline = DiffusionPipeline.from_pretrained(
        str(folder), trust_remote_code=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize(
    ("classes", "changes"),
    [
        (("cat", "dog"), {}),
        ((), {"channel_multipliers": [1, 2, 3], "attention_levels": [], "blocks_per_level": 2}),
        (tuple("abcde"), {"channel_multipliers": [1, 1, 3], "attention_levels": [0, 2]}),
        ((), {"channel_multipliers": [1], "attention_levels": [0], "dropout": 0.2}),
    ],
    ids=["classes", "deep", "attention", "flat"],
)
def test_the_network_computes_the_same(tmp_path, classes, changes):
    model = trained(classes, model=changes)
    folder = write(tmp_path / "out", model)
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    x, t = torch.randn(3, 3, 8, 16), torch.tensor([0, 17, 999])
    label = torch.tensor([0, len(classes) // 2, len(classes)])
    with torch.no_grad():
        wanted = model.denoiser.backbone(x, t, label)
        found = network(x, t, class_labels=label if classes else None).sample
    assert wanted.std() > 0.1, "the comparison is about something"
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert network.config.sample_size == [8, 16]


def test_the_layer_for_augmentation_is_dropped_since_zero_adds_nothing(tmp_path):
    data = {"channels": 3, "image_size": [8, 16], "augment": 0.12}
    trained_model = trained(data=data)
    full = trained_model.denoiser.backbone
    x, t, label = torch.randn(3, 3, 8, 16), torch.tensor([0, 17, 999]), torch.tensor([0, 1, 2])
    wanted = full(x, t, label, torch.zeros(3, 14))
    assert not torch.allclose(full(x, t, label, torch.ones(3, 14)), wanted, atol=0.01)
    weights = {name: tensor.clone() for name, tensor in full.state_dict().items()}
    source = SimpleNamespace(step=500, read=lambda _part, _like: weights)
    model = load_trained_model(
        "steel", trained_model.profile, ("cat", "dog"), source, trained_model.provenance
    )
    folder = write(tmp_path / "out", model)
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    found = network(x, t, class_labels=label).sample
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("prediction", ["epsilon", "v", "x"])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "sqrt_linear"])
@pytest.mark.parametrize("timesteps", [1000, 100, 10])
def test_the_scheduler_has_the_same_noise(tmp_path, schedule, prediction, sampler, timesteps):
    diffusion = {"schedule": schedule, "prediction": prediction, "timesteps": timesteps}
    model = trained((), diffusion=diffusion, sampling={"sampler": sampler})
    pipeline = load(write(tmp_path / "out", model))
    assert type(pipeline) is {"ddim": DDIMPipeline, "ddpm": DDPMPipeline}[sampler]
    wanted = model.denoiser.schedule.alpha.double() ** 2
    found = pipeline.scheduler.alphas_cumprod.double()
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-3)
    assert len(found) == timesteps
    kinds = {"epsilon": "epsilon", "v": "v_prediction", "x": "sample"}
    assert pipeline.scheduler.config.prediction_type == kinds[prediction]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpmpp-2m-sde"])
def test_without_classes_the_pipelines_of_diffusers_run(tmp_path, sampler):
    pipeline = load(write(tmp_path / "out", trained((), sampling={"sampler": sampler})))
    (image,) = pipeline(num_inference_steps=3).images
    assert image.size == (16, 8)


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 20), ("ddpm", 50)])
def test_with_classes_it_takes_as_many_steps_as_we_do(sampler, steps):
    sampling = {"sampler": sampler, "steps": None}
    made = build_diffusers_folder(trained(diffusion={"timesteps": 50}, sampling=sampling))
    assert json.loads(made["model_index.json"])["num_inference_steps"] == steps


@pytest.mark.parametrize(("guidance", "steps"), [(1.0, 5), (2.5, 5), (1.0, 7), (1.0, 150)])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_with_classes_the_folders_own_pipeline_generates_what_iddm_generates(
    tmp_path, guidance, steps, prediction
):
    interval = [0.2, 0.97] if prediction == "v" else [0.0, 1.0]
    sampling = {"guidance": guidance, "steps": steps, "guidance_interval": interval}
    sampling["threshold"] = 0.9 if prediction == "v" else 0.0
    model = trained(diffusion={"prediction": prediction}, sampling=sampling)
    pipeline = load(write(tmp_path / "out", model))
    ours = ImageGenerator(
        model.denoiser, model.profile.sampling, num_classes=2, shape=(3, 8, 16)
    ).generate_batch([SampleSpec(0, 0), SampleSpec(1, 1)], seed=3)
    noise = randomness.normal(3, "sample", items=torch.arange(2), step=0, shape=(3, 8, 16))
    images = pipeline(["cat", 1], latents=noise).images
    theirs = np.stack([np.asarray(image) for image in images]).astype(int)
    difference = np.abs(theirs - ours.numpy().astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99
    assert theirs.std() > 10, "the comparison is about something"


DPM, UNIPC = "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"


@pytest.mark.parametrize(
    ("sampler", "order", "scheduler"),
    [("dpmpp-2m", None, DPM), ("dpmpp-3m", None, DPM), ("unipc", None, UNIPC), ("unipc", 3, UNIPC)],
)
@pytest.mark.parametrize("clip", [True, False])
def test_multistep_solvers_are_theirs(tmp_path, sampler, order, scheduler, clip):
    sampling = {"sampler": sampler, "order": order, "steps": 6, "guidance": 2.0, "clip": clip}
    model = trained(diffusion={"prediction": "v"}, sampling=sampling)
    made = build_diffusers_folder(model)
    assert describe_sampling_difference(model.profile.sampling) == ""
    index = json.loads(made["model_index.json"])
    assert index["scheduler"] == ["diffusers", scheduler]
    pipeline = load(write(tmp_path / "out", model))
    noise = randomness.normal(3, "sample", items=torch.arange(2), step=0, shape=(3, 8, 16))
    images = pipeline(["cat", 1], latents=noise).images
    theirs = np.stack([np.asarray(image) for image in images]).astype(int)
    ours = ImageGenerator(
        model.denoiser, model.profile.sampling, num_classes=2, shape=(3, 8, 16)
    ).generate_batch([SampleSpec(0, 0), SampleSpec(1, 1)], seed=3)
    assert theirs.std() > 10, "the comparison is about something"
    assert np.abs(theirs - ours.numpy().astype(int)).max() <= 1


def test_what_the_folder_cannot_follow_is_reported():
    for changes, said in (
        (
            {"sampler": "heun"},
            "samples with ddim: diffusers cannot express sampling.sampler heun",
        ),
        ({"sampler": "dpmpp-3m", "grid": "karras"}, "cannot express sampling.grid karras"),
        ({"sampler": "euler"}, ""),
    ):
        assert said in describe_sampling_difference(SamplingSettings(**changes))
    assert describe_sampling_difference(SamplingSettings(sampler="euler")) == ""


def test_without_classes_no_pipeline_samples_with_unipc():
    model = trained((), sampling={"sampler": "unipc", "order": 3})
    said = describe_sampling_difference(model.profile.sampling, has_classes=False)
    assert said.endswith(
        "with ddim: diffusers cannot express sampling.sampler unipc without classes"
    )
    index = json.loads(build_diffusers_folder(model)["model_index.json"])
    assert index["_class_name"] == "DDIMPipeline"
    assert index["scheduler"] == ["diffusers", "DDIMScheduler"]


def test_rescaled_guidance_is_reported_as_what_the_folder_lacks():
    sampling = trained(sampling={"guidance_rescale": 0.7}).profile.sampling
    assert "sampling.guidance_rescale 0.7" in describe_sampling_difference(sampling)


def test_an_unknown_class_is_reported(tmp_path):
    pipeline = load(write(tmp_path / "out", trained()))
    for classes in ([2], ["mouse"], -1):
        with pytest.raises(ValueError, match=r"the classes are|is not in list"):
            pipeline(classes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch_size": 2}, "model.patch_size: 2"),
        ({"activation": "gelu"}, "model.activation: gelu"),
        ({"qk_norm": True}, "model.qk_norm: true"),
        ({"network": "dit", "width": 8, "head_channels": 8}, "model.network: dit$"),
        ({"activation": "relu", "patch_size": 4}, "model.activation: relu, model.patch_size: 4"),
    ],
)
def test_a_network_that_diffusers_cannot_express_is_refused_by_its_settings(changes, said):
    with pytest.raises(UsageError, match=said) as refused:
        build_diffusers_folder(trained(model=changes))
    assert refused.value.hint.startswith("Train a model with model.")


def test_the_folder_contains_nothing_of_the_machine():
    model = trained(data={"path": "/home/somebody/secret"})
    assert all(b"somebody" not in content for content in build_diffusers_folder(model).values())


def test_the_index_is_json_with_every_part():
    made = build_diffusers_folder(trained())
    index = json.loads(made["model_index.json"])
    assert index["class_names"] == ["cat", "dog"]
    assert {name.split("/")[0] for name in made} == {
        "model_index.json", "unet", "scheduler", "README.md", "pipeline.py"
    }  # fmt: skip
