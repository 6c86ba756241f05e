"""Diffusion on the latents of an autoencoder run, through the installed commands."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from .conftest import Shell
from .test_generate import pixels
from .test_latent import TRAIN as TRAIN_AUTOENCODER

SMALL = {
    "data.encoder": "codec",
    "model.base_channels": 8,
    "model.norm_groups": 4,
    "model.head_channels": 8,
    "model.channel_multipliers": "[1,2]",
    "model.attention_levels": "[]",
    "model.blocks_per_level": 1,
    "training.batch_size": 4,
    "training.lr_schedule": "constant",
    "training.sample_every": 2,
    "training.sample_count": 1,
    "sampling.steps": 2,
}
CHANGES = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
TRAIN = ("train", "--profile", "demo", "--image-size", "16", *CHANGES)


def read_images(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture(scope="module")
def latent(tmp_path_factory, cache):
    """A folder with the latent run `straight`, and its half `halves`; not to be changed."""
    shell = Shell(tmp_path_factory.mktemp("latent"), cache)
    shell.iddm(*TRAIN_AUTOENCODER, "--steps", "2", "--name", "codec")
    shell.iddm(*TRAIN, "--steps", "4", "--name", "straight")
    shell.iddm("export", "safetensors", "codec")
    words = ("--set", "data.encoder=codec.safetensors", "--name", "halves")
    shell.iddm(*TRAIN, *words, "--steps", "2")
    return shell


def test_a_network_trains_on_latents_and_generates_images_alone(latent):
    shell = latent
    runs = {name: shell.folder / "runs" / name for name in ("codec", "straight", "halves")}
    recorded = json.loads((runs["straight"] / "dataset.json").read_text())["latents"]
    assert len(recorded["mean"]) == len(recorded["deviation"]) == 4
    shutil.rmtree(runs["codec"])  # a run on latents stands alone
    shell.iddm("resume", "halves", "--steps", "4")
    for part in ("model", "average", "optimizer"):
        path = f"checkpoints/step-00000004/{part}.safetensors"
        both = [(runs[name] / path).read_bytes() for name in ("straight", "halves")]
        assert both[0] == both[1], part
    grids = [runs[name] / "samples/step-00000004.png" for name in ("straight", "halves")]
    assert grids[0].read_bytes() == grids[1].read_bytes()
    one, other = (shell.folder / name for name in ("one", "other"))
    shell.iddm("generate", "halves", "--count", "3", "--out", str(one))
    shell.iddm("generate", "halves", "--count", "3", "--batch-size", "1", "--out", str(other))
    images = read_images(one)
    assert images == read_images(other)
    assert Image.open(next(one.rglob("*0000.png"))).size == (16, 16)
    for command in (
        ("generate", "halves", "--from", str(one)),
        ("export", "diffusers", "halves"),
    ):
        answer = shell.iddm(*command, expect=2)
        assert "was trained on latents" in answer.err, answer.err


def test_a_latent_model_is_exported_with_its_autoencoder(latent):
    words = ("--count", "1", "--same-noise", "--no-grid", "--out")
    latent.iddm("generate", "straight", *words, "wanted")
    latent.iddm("export", "safetensors", "straight", "--out", "alone.safetensors")
    latent.iddm("generate", "alone.safetensors", *words, "found")
    wanted, found = (pixels(latent.folder / name) for name in ("wanted", "found"))
    assert len(wanted) > 1
    assert all(np.array_equal(found[path], image) for path, image in wanted.items())


def test_other_trainings_start_from_a_latent_model(latent):
    latent.iddm("train", "--from", "alone.safetensors", "--data", "demo", "--steps", "1",
                "--name", "further")  # fmt: skip
    latent.iddm("distill", "straight", "--steps", "2", "--name", "fast")
    runs = [latent.folder / "runs" / name for name in ("straight", "further", "fast")]
    assert len({(run / "encoder.safetensors").read_bytes() for run in runs}) == 1
    scales = [json.loads((run / "dataset.json").read_text())["latents"] for run in runs]
    assert scales[0] == scales[1] == scales[2]
    (runs[2] / "encoder.safetensors").unlink()
    lost = latent.iddm("generate", "fast", "--count", "1", "--out", "none", expect=4)
    assert "fast has lost the autoencoder of its latents" in " ".join(lost.err.split())
