"""Distilling: a run like any other comes of it, also when its teacher is gone."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from .test_resume import tensors

STEPS = 6
FEW = ("--steps", str(STEPS), "--set", "training.checkpoint_every=2")


@pytest.fixture(scope="module")
def distilled(trained):
    """The folder of `trained`, with a copy of its run, and a distilled run of it."""
    runs = trained.folder / "runs"
    shutil.copytree(runs / "first", runs / "taught")
    answer = trained.iddm("distill", "taught", "--name", "fast", *FEW)
    assert "finished fast; generate images with: iddm generate fast" in answer.err
    return trained


def test_it_is_complete_and_resumes_to_the_same_bits_without_its_teacher(distilled):
    runs = distilled.folder / "runs"
    wanted = tensors(runs / "fast", STEPS)
    assert len(list((runs / "fast" / "samples").glob("*.png"))) >= 1
    shutil.rmtree(runs / "taught")
    shutil.copytree(runs / "fast", runs / "half")
    for step in (4, 6):
        shutil.rmtree(runs / "half" / "checkpoints" / f"step-{step:08d}")
    state = json.loads((runs / "half" / "run.json").read_text())
    (runs / "half" / "run.json").write_text(json.dumps({**state, "state": "running"}))
    assert "resumed at step 2 of 6" in distilled.iddm("resume", "half").err
    assert tensors(runs / "half", STEPS) == wanted
    shutil.rmtree(runs / "half" / "checkpoints")
    assert "training starts at step 0" in distilled.iddm("resume", "half").err
    assert tensors(runs / "half", STEPS) == wanted, "it starts from the copy of its teacher"
    profile = str(runs / "fast" / "teacher.safetensors")
    repeat = ("--set", f"distillation.teacher={profile}", "--name", "again")
    distilled.iddm("train", "--profile", str(runs / "fast" / "profile.yaml"), *repeat)
    assert tensors(runs / "again", STEPS) == wanted


def test_it_generates_and_exports_the_same_images(distilled):
    images = ("--class", "crazing", "--count", "3", "--precision", "fp32")
    distilled.iddm("generate", "fast", *images, "--out", "fast-images")
    manifest = json.loads((distilled.folder / "fast-images" / "manifest.json").read_text())
    assert (manifest["sampler"], manifest["steps"], manifest["guidance"]) == ("consistency", 2, 1.0)
    distilled.iddm("export", "onnx", "fast", "--out", "fast.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(distilled.folder / "fast.onnx")
    feed = {"label": np.zeros(3, np.int64), "index": np.arange(3), "seed": np.array(0),
            "guidance": np.array(1, np.float32)}  # fmt: skip
    wanted = {i.name for i in session.get_inputs()}
    (found, *_) = session.run(None, {k: v for k, v in feed.items() if k in wanted})
    paths = sorted((distilled.folder / "fast-images" / "crazing").glob("*.png"))
    for image, path in zip(found, paths, strict=True):
        levels = np.asarray(Image.open(path), np.float32)
        assert np.abs(np.rint((image.squeeze().clip(-1, 1) + 1) * 127.5) - levels).max() <= 1


def test_mistakes_are_reported(distilled):
    for words, code, said in (
        (("distill", "fast"), 2, "fast was distilled itself"),
        (("distill", "no-such-run"), 4, "no run 'no-such-run'"),
        (("distill", "first", "--calls", "9"), 2, "--calls"),
        (("distill", "first", "--data", "gone"), 3, "iddm distill first --set data.path=NEW"),
    ):
        assert said in " ".join(distilled.iddm(*words, expect=code).err.split())
    said = distilled.iddm("generate", "first", "--sampler", "consistency", "--count", "1").err
    assert "make one with: iddm distill first" in " ".join(said.split())
    said = distilled.iddm("generate", "fast", "--sampler", "ddim", "--count", "1").err
    assert "sampler consistency suits it" in " ".join(said.split())
