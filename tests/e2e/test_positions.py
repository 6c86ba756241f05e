"""Positions of crops through the command; tests/laws/test_positions.py shows they are right."""

import json
import shutil

import numpy as np
from PIL import Image

from .conftest import SMOKE
from .test_resume import tensors

PLACED = (*SMOKE, "--data", "photographs", "--set", "data.crop=16", "--set", "data.held_out=0.2",
          "--set", "data.crop_position=true", "--set", "evaluation.loss_every=5")  # fmt: skip


def write_photographs(folder):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(12):
        pixels = rng.integers(0, 256, (24 + 2 * i, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def test_a_run_that_knows_positions_is_used_as_any_other(shell):
    write_photographs(shell.folder / "photographs")
    answer = shell.iddm(*PLACED, "--name", "placed", "--set", "data.horizontal_flip=true")
    assert "random crops and their positions" in " ".join(answer.err.split())
    runs = shell.folder / "runs"
    assert "whole_size: [" in (runs / "placed/profile.yaml").read_text()
    rows = [json.loads(row) for row in (runs / "placed/metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["held_out_loss"] > 0

    shutil.copytree(runs / "placed", runs / "half")
    shutil.rmtree(runs / "half" / "checkpoints" / "step-00000010")
    shell.iddm("resume", "half")
    assert tensors(runs / "half", 10) == tensors(runs / "placed", 10)

    some = ("--count", "2", "--size", "24x38", "--steps", "3")
    shell.iddm("generate", "placed", *some, "--out", "both")
    shell.iddm("generate", "placed", *some, "--batch-size", "1", "--out", "one")
    both, one = (sorted((shell.folder / name).rglob("*000001.png"))[0] for name in ("both", "one"))
    with Image.open(both) as image, Image.open(one) as alone:
        assert image.size == (38, 24)
        assert (np.asarray(image) == np.asarray(alone)).all()
