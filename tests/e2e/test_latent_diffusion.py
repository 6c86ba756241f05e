"""Diffusion on the latents of an autoencoder run, through the installed commands."""

import json
import shutil

from PIL import Image

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


def test_a_network_trains_on_latents_and_generates_images_alone(shell):
    shell.iddm(*TRAIN_AUTOENCODER, "--steps", "2", "--name", "codec")
    shell.iddm(*TRAIN, "--steps", "4", "--name", "straight")
    shell.iddm(*TRAIN, "--steps", "2", "--name", "halves")
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
        ("export", "safetensors", "halves"),
        ("export", "onnx", "halves"),
        ("distill", "halves", "--steps", "4"),
        ("train", "--from", "halves"),
    ):
        answer = shell.iddm(*command, expect=2)
        assert "was trained on latents" in answer.err, answer.err
