"""An autoencoder run through the installed commands."""

import json

import pytest

SMALL = {
    "model.base_channels": 8,
    "model.norm_groups": 4,
    "model.downsampling": 4,
    "model.discriminator_weight": 0.5,
    "model.discriminator_start": 1,
    "model.discriminator_channels": 4,
    "model.discriminator_layers": 2,
    "training.batch_size": 4,
    "training.log_every": 1,
    "training.lr_schedule": "constant",
    "training.sample_every": 2,
    "evaluation.every": 2,
    "evaluation.count": 8,
}
CHANGES = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
TRAIN = ("train", "--profile", "autoencoder", "--data", "demo", "--image-size", "16", *CHANGES)


def test_an_autoencoder_is_a_run_like_any_other_and_generates_nothing(shell):
    shell.iddm(*TRAIN, "--steps", "4", "--name", "straight")
    shell.iddm(*TRAIN, "--steps", "2", "--name", "halves")
    shell.iddm("resume", "halves", "--steps", "4")
    runs = [shell.folder / "runs" / name for name in ("straight", "halves")]
    for part in ("model", "average", "optimizer", "discriminator"):
        path = f"checkpoints/step-00000004/{part}.safetensors"
        assert len({(run / path).read_bytes() for run in runs}) == 1, part
    rows = [json.loads(line) for line in (runs[1] / "metrics.jsonl").read_text().splitlines()]
    assert ["discriminator_loss" in row for row in rows] == [False, True, True, True]
    last = rows[-1]
    assert last["step"] == 4
    assert last["psnr"] > 0
    assert 0 < last["local_error"] <= 1
    assert last["ssim"] <= 1
    assert (runs[1] / "samples" / "step-00000004.png").is_file()
    measured = shell.iddm("evaluate", "straight", "--json").json()
    assert measured["step"] == 4
    for name in ("psnr", "ssim", "local_error"):
        assert measured[name] == pytest.approx(last[name], rel=1e-4), name
    assert measured["worst"] in shell.iddm("evaluate", "straight").out
    exported = shell.iddm("export", "safetensors", "straight")
    assert "--set data.encoder=straight.safetensors" in " ".join(exported.err.split())
    for command in (
        ("generate", "straight"),
        ("export", "onnx", "straight"),
        ("distill", "straight", "--steps", "4"),
    ):
        answer = shell.iddm(*command, expect=2)
        assert "is an autoencoder" in answer.err
