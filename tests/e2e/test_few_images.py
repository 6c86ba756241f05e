"""Few images as a user meets them: augmented in training, and never in what is generated."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.test_readme import shorten

from .conftest import SMOKE, draw_folder
from .test_resume import tensors

AUGMENTED = (*SMOKE, "--set", "data.augment=0.3", "--set", "training.checkpoint_every=2")
LAYER = "embedding.augmentation.weight"
IMAGES = ("--class", "crazing", "--count", "2", "--no-grid")


@pytest.fixture(scope="module")
def augmented(trained):
    """The folder of `trained`, with a run that was augmented."""
    answer = trained.iddm(*AUGMENTED, "--name", "few", "--steps", "4")
    assert "each kind of change with probability 0.3" in " ".join(answer.err.split())
    return trained


def test_the_command_of_the_page_trains_the_profile_for_small_sets(shell):
    page = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    section = page.split("\n## Few images\n")[1].split("\n## ")[0]
    command = re.findall(r"^    (iddm .*)", section, re.MULTILINE)[0]
    draw_folder(shell.folder / "photos", {"cat": 30, "dog": 8}, mode="L", size=(16, 16))
    shell.iddm(*shorten(command), "--image-size", "16", "--set", "evaluation.loss_every=1")
    profile = (shell.folder / "runs" / "few" / "profile.yaml").read_text(encoding="utf-8")
    assert "augment: 0.12" in profile
    assert "stop_when: held_out_worse" in profile


def read_images(folder) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]


def test_a_run_that_was_killed_is_augmented_alike(augmented):
    runs = augmented.folder / "runs"
    shutil.copytree(runs / "few", runs / "cut")
    shutil.rmtree(runs / "cut" / "checkpoints" / "step-00000004")
    state = json.loads((runs / "cut" / "run.json").read_text())
    (runs / "cut" / "run.json").write_text(json.dumps({**state, "state": "running"}))
    assert "resumed at step 2 of 4" in augmented.iddm("resume", "cut").err
    assert tensors(runs / "cut", 4) == tensors(runs / "few", 4)
    stored = load_file(runs / "few" / "checkpoints" / "step-00000004" / "model.safetensors")
    assert stored[LAYER].any()


def test_what_is_exported_generates_the_same_without_the_layer(augmented):
    augmented.iddm("generate", "few", *IMAGES, "--out", "of-run")
    augmented.iddm("export", "safetensors", "few", "--out", "few.safetensors")
    augmented.iddm("generate", "few.safetensors", *IMAGES, "--out", "of-file")
    assert LAYER not in load_file(augmented.folder / "few.safetensors")
    ours, theirs = (read_images(augmented.folder / name) for name in ("of-run", "of-file"))
    assert len(ours) == 2
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_run_that_was_augmented_is_distilled_without(augmented):
    augmented.iddm("distill", "few", "--name", "few-fast", "--steps", "2")
    path = augmented.folder / "runs" / "few-fast" / "checkpoints" / "step-00000002"
    assert LAYER not in load_file(path / "model.safetensors")
    said = augmented.iddm("distill", "few", "--name", "no", "--steps", "2",
                          "--set", "data.augment=0.1", expect=2).err  # fmt: skip
    assert "a distilled run cannot use data.augment" in said


def test_a_plan_says_whether_few_images_are_augmented(augmented):
    said = augmented.iddm(*SMOKE, "--epochs", "300", "--set", "data.augment=auto",
                          "--dry-run", "--json").json()  # fmt: skip
    assert said["profile"]["data"]["augment"] == 0.12
    (advice,) = (line for line in said["advice"] if "may copy its images" in line)
    assert "--set training.stop_when=held_out_worse" in advice
    assert json.dumps(said).count("data.augment=auto") == 0, "it has it already"
