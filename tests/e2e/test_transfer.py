"""Starting from a trained model: a run like any other comes of it, also when the model is gone."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from .conftest import SMOKE, draw_folder
from .test_resume import tensors

STEPS = 4
FEW = ("--steps", str(STEPS), "--set", "training.checkpoint_every=2")


@pytest.fixture(scope="module")
def started(trained):
    """The folder of `trained`, with a copy of its run, and a run `new` that starts from it."""
    shutil.copytree(trained.folder / "runs" / "first", trained.folder / "runs" / "old")
    answer = trained.iddm("train", "--from", "old", "--name", "new", *FEW)
    assert "old, step 10, average weights" in answer.err
    assert "carried over" in answer.err
    return trained


def generate(shell, run: str, *words: str) -> dict[str, np.ndarray]:
    """Generate images of a run, and return their pixels by class and number."""
    out = shell.folder / "-".join(("images", run, *words)).replace("/", "-")
    shell.iddm("generate", run, "--count", "2", "--no-grid", "--out", str(out), *words)
    names = {path: f"{path.parent.name}/{path.stem[-6:]}" for path in out.glob("*/*.png")}
    return {name: np.asarray(Image.open(path)) for path, name in names.items()}


def check_equal(ours, theirs, names) -> None:
    assert names
    for name in names:
        assert np.array_equal(ours[name], theirs[name]), name


def test_step_0_generates_the_images_of_the_model_it_starts_from(started):
    wanted = generate(started, "old")
    found = generate(started, "new", "--checkpoint", "0")
    check_equal(found, wanted, wanted)
    trained = generate(started, "new")
    assert any(not np.array_equal(trained[name], wanted[name]) for name in wanted)


def test_it_resumes_and_repeats_to_the_same_bits_and_needs_its_source_no_more(started):
    runs = started.folder / "runs"
    wanted = tensors(runs / "new", STEPS)
    words = ("train", "--profile", str(runs / "new" / "profile.yaml"), "--name", "again")
    started.iddm(*words)
    assert tensors(runs / "again", STEPS) == wanted
    (runs / "old").rename(runs / "away")
    for kept in (2, 0):
        half = runs / f"half-{kept}"
        shutil.copytree(runs / "new", half)
        for step in range(kept + 2, STEPS + 1, 2):
            shutil.rmtree(half / "checkpoints" / f"step-{step:08d}")
        state = json.loads((half / "run.json").read_text())
        (half / "run.json").write_text(json.dumps({**state, "state": "running"}))
        assert f"resumed at step {kept} of 4" in started.iddm("resume", half.name).err
        assert tensors(half, STEPS) == wanted
    (runs / "away").rename(runs / "old")
    origin = json.loads((runs / "new" / "run.json").read_text())["started_from"]
    assert (origin["run"], origin["step"], origin["weights"]) == ("old", 10, "average")
    state = json.loads((runs / "old" / "checkpoints" / "step-00000010" / "state.json").read_text())
    assert origin["sha256"] == state["files"]["average.safetensors"]["sha256"]


def test_classes_come_go_and_change_their_names_and_the_others_keep_their_images(shell):
    draw_folder(shell.folder / "two", {"dent": 6, "line": 6})
    draw_folder(shell.folder / "more", {"burn": 3, "dent": 6, "scratch": 6})
    shell.iddm(*SMOKE, "--data", "two", "--steps", "3", "--name", "two")
    words = ("train", "--from", "two", "--data", "more", "--rename", "line=scratch")
    said = shell.iddm(*words, "--name", "more", "--steps", "2").err
    assert "dent, scratch (was line)" in said
    assert "burn: untrained, and told apart from the others" in said
    wanted, found = generate(shell, "two"), generate(shell, "more", "--checkpoint", "0")
    renamed = {name.replace("line", "scratch"): image for name, image in wanted.items()}
    check_equal(found, renamed, renamed)
    assert {name.split("/")[0] for name in found} == {"burn", "dent", "scratch"}
    shell.iddm("export", "safetensors", "more", "--out", "more.safetensors")
    words = ("train", "--from", "more.safetensors", "--data", "two", "--steps", "2")
    said = shell.iddm(*words, "--name", "less", "--image-size", "32").err
    assert "scratch, burn" in said, "in the order of its labels"
    assert "diffusion.noise_shift 1.0 → 2.0: hides as much" in " ".join(said.split())
    assert "levels kept 0 as 1, 1 as 2" in " ".join(said.split())
    assert generate(shell, "less")["dent/000000"].shape[:2] == (32, 32)
    assert shell.iddm(*words, "--set", "data.channels=1", "--name", "grey").err.count("3 → 1") == 1


def test_mistakes_are_reported(started):
    for words, code, said in (
        (("--from", "no-such-run"), 4, "no run 'no-such-run'"),
        (("--from", "first@7"), 4, "no checkpoint of step 7"),
        (("--from", "first", "--set", "model.base_channels=16"), 2, "is 16, and 8 in first"),
        (("--from", "first", "--rename", "dust=dirt"), 2, "the trained model has no class dust"),
        (("--rename", "crazing=cracks"), 2, "iddm train --from RUN"),
    ):
        assert said in " ".join(started.iddm("train", *words, expect=code).err.split())
    assert not any(path.name.startswith("from-") for path in (started.folder / "runs").iterdir())


def test_adapters_are_small_resume_exactly_and_are_merged_wherever_images_are_made(started):
    runs = started.folder / "runs"
    lora = ("--set", "training.lora_rank=2")
    said = started.iddm("train", "--from", "old", "--name", "light", *FEW, *lora).err
    assert "adapters of rank 2" in said
    wanted = tensors(runs / "light", STEPS)
    assert wanted
    assert all(".parametrizations." in name for name in wanted)
    base = str(runs / "light" / "base.safetensors")
    check_equal(generate(started, base), generate(started, "old"), generate(started, "old"))
    images = generate(started, "light")
    started.iddm("export", "safetensors", "light", "--out", "light.safetensors")
    check_equal(generate(started, "light.safetensors"), images, images)
    for kept in (2, 0):
        half = runs / f"light-{kept}"
        shutil.copytree(runs / "light", half)
        for step in range(kept + 2, STEPS + 1, 2):
            shutil.rmtree(half / "checkpoints" / f"step-{step:08d}")
        state = json.loads((half / "run.json").read_text())
        (half / "run.json").write_text(json.dumps({**state, "state": "running"}))
        started.iddm("resume", half.name)
        assert tensors(half, STEPS) == wanted
    said = started.iddm("train", "--profile", "smoke", *lora, expect=2).err
    assert "training.lora_rank needs transfer.source" in " ".join(said.split())
