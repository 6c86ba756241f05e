"""Crops through the command: train on parts of large images, generate larger ones by windows."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "larger-images.md"
SECTION = (
    PAGE.read_text(encoding="utf-8").partition("## Crops and windows")[2].partition("\n## ")[0]
)
COMMANDS = re.findall(r"^    iddm (.*)", SECTION, re.MULTILINE)
SMALLER = {"textures-256": "smoke", "512x768": "24x37", "300x1000": "20x40", "128": "8"}


def write_surfaces(folder):
    rng = np.random.default_rng(0)
    for i, kind in enumerate(["steel", "wood"] * 11):
        path = folder / kind / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (rng.integers(40, 60), 52, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    Image.new("RGB", (9, 9)).save(folder / "wood" / "small.png")


def test_crops_are_trained_on_and_windows_make_larger_images(shell):
    write_surfaces(shell.folder / "photographs")
    crops = ("--data", "photographs", "--profile", "smoke", "--set", "data.crop=16",
             "--set", "data.held_out=0.2", "--set", "training.steps=2")  # fmt: skip
    plan = shell.iddm("train", *crops, "--dry-run", "--json").json()
    assert plan["image_size"] == [16, 16]
    answer = shell.iddm("train", *crops, "--name", "tex")
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        words = [SMALLER.get(word, word) for word in shlex.split(command)]
        if words[0] == "train":
            words += ["--set", "data.crop=16", "--steps", "1"]
        shell.iddm(*words, *(["--count", "1"] * (words[0] == "generate")))
    assert "crops fit into them beside each other" in answer.err
    assert "1 unreadable (smaller than data.crop)" in answer.err
    record = json.loads((shell.folder / "runs/tex/dataset.json").read_text())
    assert record["count"] > record["images"] + record["held_out"]["count"]
    assert record["images"] + record["held_out"]["count"] == 22

    some = ("--count", "2", "--class", "wood", "--size", "24x37", "--steps", "3")
    shell.iddm("generate", "tex", *some, "--out", "both")
    shell.iddm("generate", "tex", *some, "--out", "one", "--batch-size", "1")
    both, one = ((shell.folder / out / "wood/wood-000001.png") for out in ("both", "one"))
    with Image.open(both) as image, Image.open(one) as alone:
        assert image.size == (37, 24)
        assert (np.asarray(image) == np.asarray(alone)).all()
        assert image.text["iddm:windows"] == "16x16, overlap 0.5"
    inspected = shell.iddm("inspect-dataset", "--profile", "runs/tex/profile.yaml", "--json").json()
    assert inspected["treatment"]["crops"] >= record["count"]
    assert ["wood/small.png", "smaller than data.crop: 9 x 9 pixels, of 16 x 16"] in (
        inspected["unreadable"]
    )
