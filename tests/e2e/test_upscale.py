"""Upscaling as a user meets it: train, upscale a folder, and what another run generates."""

import base64
import io
import json
import shlex
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from iddm_cli import durable

from .conftest import SMOKE, draw_folder
from .test_generate import pixels
from .test_resume import tensors
from .test_serve import ServeProcess

UPSCALER = (*SMOKE, "--set", "model.condition=low_resolution")


@pytest.fixture(scope="module")
def upscaling(trained):
    """The folder of `trained`, with a run `large` that upscales 4 x 4 to 16 x 16, and images."""
    trained.iddm(*UPSCALER, "--name", "large", "--set", "training.sample_every=10")
    draw_folder(trained.folder / "small", {"crazing": 2, "patches": 1}, size=(4, 4))
    draw_folder(trained.folder / "small" / "scratches", {"": 1}, size=(7, 5))
    return trained


def test_a_resumed_run_has_the_same_weights(upscaling):
    assert Image.open(upscaling.folder / "runs/large/samples/step-00000010.png").width > 100
    runs = upscaling.folder / "runs"
    shutil.copytree(runs / "large", runs / "half")
    shutil.rmtree(runs / "half" / "checkpoints" / "step-00000010")
    upscaling.iddm("resume", "half")
    assert tensors(runs / "half", 10) == tensors(runs / "large", 10)


def test_a_folder_is_upscaled_and_keeps_its_names(upscaling):
    answer = upscaling.iddm("upscale", "large", "small", "--out", "big", "--json")
    manifest = answer.json()
    found = pixels(upscaling.folder / "big")
    assert sorted(manifest["images"]) == sorted(found)
    small = pixels(upscaling.folder / "small")
    assert {name: image.shape[:2] for name, image in found.items()} == {
        name: (4 * image.shape[0], 4 * image.shape[1]) for name, image in small.items()
    }
    name = manifest["images"][0]
    path = upscaling.folder / "big" / name
    with Image.open(path) as image:
        assert image.text["iddm:class"] == name.split("/")[0]
    before = path.read_bytes()
    path.rename(durable.partial_path(path))  # as a command leaves it that was killed
    upscaling.iddm("upscale", "large", "small", "--out", "big")
    assert path.read_bytes() == before, "a command that was cut off continues"
    assert not list(path.parent.glob(f"{durable.PARTIAL_PREFIX}*")), "and nothing is left of it"

    upscaling.iddm("upscale", "large", f"small/{name}", "--out", "one", "--batch-size", "1")
    (alone,) = (upscaling.folder / "one").glob("*.png")
    assert np.abs(np.asarray(Image.open(alone)).astype(int) - found[name]).max() <= 1

    words = ("--seed", "1")
    refused = upscaling.iddm("upscale", "large", "small", "--out", "big", *words, expect=2)
    assert "holds images that were generated otherwise: seed 0, not 1" in refused.err
    words = ("--class", "1", "--noise-level", "0.3", "--out", "other")
    upscaling.iddm("upscale", "large", f"small/{name}", *words)
    (path,) = (upscaling.folder / "other").glob("*.png")
    with Image.open(path) as image:
        assert (np.asarray(image) != found[name]).any()
        assert (image.text["iddm:class"], image.text["iddm:noise_level"]) == ("inclusion", "0.3")


def test_the_server_upscales_as_the_command_does(upscaling, shell):
    served = ServeProcess(upscaling, "large")
    try:
        content = (upscaling.folder / "small" / "crazing").glob("*.png")
        file = next(content).read_bytes()
        query = {"image": base64.b64encode(file).decode(), "class": "patches", "seed": 5,
                 "noise_level": 0.25, "sampler": "ddpm", "steps": 2, "guidance_interval": [0, 0.9],
                 "guidance_rescale": 0.5, "threshold": 0.9}  # fmt: skip
        answer = served.client.post("/v1/upscale", json=query).json()
        code, stderr = served.stop(signal.SIGTERM)
    finally:
        served.process.kill()
    assert (code, "Traceback" in stderr) == (143, False)
    (shell.folder / "image.png").write_bytes(file)
    words = shlex.split(answer["command"])[1:]
    assert words[:3] == ["upscale", "large", "image.png"]
    shell.iddm(*words, "--runs-dir", upscaling.folder / "runs", "--out", "same")
    ours = Image.open(io.BytesIO(base64.b64decode(answer["images"][0]["image"])))
    with Image.open(shell.folder / "same" / "image.png") as one:
        assert ours.text == one.text, "the same metadata"
        difference = np.asarray(ours).astype(int) - np.asarray(one).astype(int)
    assert np.abs(difference).max() <= 1


def test_held_out_images_are_upscaled_and_compared_with_interpolation(upscaling):
    words = ("--set", "data.held_out=0.1", "--name", "held", "--steps", "1")
    upscaling.iddm(*UPSCALER, *words, "--batch-size", "4")
    words = ("evaluate", "held", "--count", "4", "--steps", "1,2", "--out", "held.html")
    found = upscaling.iddm(*words, "--json").json()["evaluations"]
    assert [one["title"] for one in found] == ["bicubic interpolation", "1 steps", "2 steps"]
    assert all(one["psnr"]["count"] == one["ssim"]["count"] == 4 for one in found)
    assert found[0]["psnr"]["value"] > found[1]["psnr"]["value"], "one update teaches nothing"
    assert "held-out images of held" in found[0]["references"]
    assert "bicubic interpolation" in (upscaling.folder / "held.html").read_text()


def test_what_another_run_generates_is_upscaled(upscaling):
    upscaling.iddm(*SMOKE, "--image-size", "4", "--name", "base")
    words = ("generate", "base", "--upscale", "large", "--class", "2", "--count", "2")
    upscaling.iddm(*words, "--out", "new", "--batch-size", "1")
    found = pixels(upscaling.folder / "new")
    assert [image.shape[:2] for image in found.values()] == [(16, 16)] * 2
    manifest = json.loads((upscaling.folder / "new" / "manifest.json").read_text())
    assert (manifest["upscale_with"], manifest["noise_level"]) == ("large@10", 0.1)
    upscaling.iddm(*words, "--out", "again")
    for name, image in pixels(upscaling.folder / "again").items():
        assert np.abs(image - found[name]).max() <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("generate", "large"), "large upscales images, and generates none by itself"),
        (("serve", "large", "--guide-with", "@5"), "no weaker model can guide that"),
        (("export", "pt2", "large"), "large upscales images, which an export as pt2 cannot hold"),
        (("upscale", "first", "small"), "first generates images, and upscales none"),
        (("generate", "first", "--upscale", "first"), "first generates images, and upscales none"),
        (("generate", "first", "--noise-level", "0.1"), "--noise-level needs --upscale"),
        (("upscale", "large", "none"), "none: there is no such file or folder"),
        (
            ("train", "--profile", "smoke", "--from", "first", "--set",
             "model.condition=low_resolution"),
            "model.condition is low_resolution, and none in first",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_what_does_not_fit_is_refused(upscaling, words, said):
    assert said in " ".join(upscaling.iddm(*words, expect=2).err.split())
