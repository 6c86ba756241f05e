"""Distilling: a run like any other comes of it, also when its teacher is gone."""

import base64
import io
import json
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from iddm_cli.engine import randomness
from iddm_cli.export.onnx.check import encode_seed, open_session
from iddm_cli.export.pt2 import METADATA_NAME
from iddm_cli.workflows.models import find_model
from tests.export.test_pt2 import loop

from .test_resume import tensors
from .test_serve import ServeProcess

STEPS = 4
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
    shutil.rmtree(runs / "half" / "checkpoints" / f"step-{STEPS:08d}")
    state = json.loads((runs / "half" / "run.json").read_text())
    (runs / "half" / "run.json").write_text(json.dumps({**state, "state": "running"}))
    assert "resumed at step 2 of 4" in distilled.iddm("resume", "half").err
    assert tensors(runs / "half", STEPS) == wanted
    shutil.rmtree(runs / "half" / "checkpoints")
    assert "training starts at step 0" in distilled.iddm("resume", "half").err
    assert tensors(runs / "half", STEPS) == wanted, "it starts from the copy of its teacher"
    profile = str(runs / "fast" / "teacher.safetensors")
    repeat = ("--set", f"distillation.teacher={profile}", "--name", "again")
    distilled.iddm("train", "--profile", str(runs / "fast" / "profile.yaml"), *repeat)
    assert tensors(runs / "again", STEPS) == wanted


def test_it_generates_and_exports_without_further_options(distilled):
    images = ("--class", "crazing", "--count", "3", "--no-grid")
    distilled.iddm("generate", "fast", *images, "--out", "images")
    manifest = json.loads((distilled.folder / "images" / "manifest.json").read_text())
    assert (manifest["sampler"], manifest["steps"], manifest["guidance"]) == ("consistency", 2, 1.0)
    distilled.iddm("export", "safetensors", "fast", "--out", "fast.safetensors")
    distilled.iddm("generate", "fast.safetensors", *images, "--out", "of-file")
    for path in (distilled.folder / "images" / "crazing").glob("*.png"):
        same = distilled.folder / "of-file" / "crazing" / path.name
        with Image.open(path) as ours, Image.open(same) as one:
            assert np.array_equal(np.asarray(ours), np.asarray(one))


def test_exported_files_generate_what_it_generates(distilled):
    """Its sampler adds noise between its calls: that of `iddm generate`, in both files."""
    few = ("--class", "crazing", "--count", "3", "--seed", "4", "--steps", "3")
    exact = ("--same-noise", "--precision", "fp32", "--no-grid", "--out", "exact")
    distilled.iddm("generate", "fast", *few, *exact)
    paths = sorted((distilled.folder / "exact" / "crazing").glob("*.png"))
    wanted = np.stack([np.asarray(Image.open(path)) for path in paths]).reshape(3, -1)
    model = find_model(distilled.folder / "runs", "fast")
    shape = model.load_profile([]).data.shape
    items, label = torch.arange(3), torch.full((3,), model.classes.index("crazing"))
    noises = [
        randomness.normal(4, purpose, items=items, step=step, shape=shape)
        for purpose, step in (("sample", 0), *(("sample-step", k) for k in range(3)))
    ]
    for form in ("onnx", "pt2"):
        distilled.iddm("export", form, "fast", "--steps", "3")

    session = open_session((distilled.folder / "fast.onnx").read_bytes())
    inputs = {"noise": noises[0].numpy(), "label": label.numpy(), "index": items.numpy(),
              "guidance": np.array(1, np.float32), "seed": encode_seed(4)}  # fmt: skip
    names = {one.name for one in (*session.get_inputs(), *session.get_overridable_initializers())}
    (images,) = session.run(None, {name: inputs[name] for name in names})
    assert np.abs(images.reshape(3, -1).astype(int) - wanted).max() <= 1

    files = {METADATA_NAME: ""}
    program = torch.export.load(str(distilled.folder / "fast.pt2"), extra_files=files).module()
    about = json.loads(files[METADATA_NAME])
    assert (about["sampler"], len(about["times"])) == ("consistency", 3)
    images = loop(program, about, noises[0], label, 1.0, noises[1:])
    assert np.abs(images.numpy().reshape(3, -1).astype(int) - wanted).max() <= 1


def test_it_serves_what_it_generates(distilled):
    served = ServeProcess(distilled, "fast")
    try:
        query = {"class": "crazing", "seed": 3, "count": 2}
        response = served.client.post("/v1/images", json=query).json()
        (info,) = served.client.get("/v1/models").json()["data"]
        refused = served.client.post("/v1/images", json={**query, "guidance": 3})
    finally:
        served.stop(signal.SIGTERM)
    assert not info["takes_guidance"]
    assert refused.status_code == 422
    distilled.iddm(*response["command"].split()[1:], "--no-grid", "--out", "served")
    for image in response["images"]:
        name = f"served/crazing/crazing-{image['index']:06d}.png"
        content = io.BytesIO(base64.b64decode(image["image"]))
        with Image.open(content) as ours, Image.open(distilled.folder / name) as one:
            assert ours.text == one.text
            difference = np.asarray(ours).astype(int) - np.asarray(one).astype(int)
        assert np.abs(difference).max() <= 1


def test_mistakes_are_reported(distilled):
    for words, code, said in (
        (("distill", "fast"), 2, "fast was distilled itself"),
        (("distill", "no-such-run"), 4, "no run 'no-such-run'"),
        (("distill", "first", "--calls", "9"), 2, "--calls"),
        (("generate", "fast", "--guidance", "3"), 2, "folded into this distilled network"),
        (("distill", "first", "--data", "gone"), 3, "iddm distill first --set data.path=NEW"),
    ):
        assert said in " ".join(distilled.iddm(*words, expect=code).err.split())
    said = distilled.iddm("generate", "first", "--sampler", "consistency", "--count", "1").err
    assert "make one with: iddm distill first" in " ".join(said.split())
    said = distilled.iddm("generate", "fast", "--sampler", "ddim", "--count", "1").err
    assert "sampler consistency suits it" in " ".join(said.split())
