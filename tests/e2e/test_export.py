"""Exporting through the command: what is there stays, and a mistake is one sentence."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.hostile.test_environment import BOUND, IDDM, needs_bounds, needs_mounts, run

from .conftest import SMOKE, Shell

PLAIN = (*SMOKE, "--set", "model.patch_size=1")
FORMATS = {
    "onnx": ".onnx",
    "safetensors": ".safetensors",
    "pt2": ".pt2",
    "diffusers": "-diffusers",
}


@pytest.fixture(scope="module")
def exporting(tmp_path_factory, cache):
    shell = Shell(tmp_path_factory.mktemp("export"), cache)
    shell.iddm(*PLAIN, "--name", "first")
    return shell


def litter(folder) -> list:
    return [path for path in folder.iterdir() if path.name.startswith(".partial")]


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_appears_beside_the_user_and_is_not_written_over(exporting, form):
    told = exporting.iddm("export", form, "first", "--json").json()
    assert (told["run"], told["step"], told["format"]) == ("first", 10, form)
    path = exporting.folder / f"first{FORMATS[form]}"
    assert told["path"] == path.name
    assert path.exists()
    before = {p: p.read_bytes() for p in [path, *path.rglob("*")] if p.is_file()}
    answer = exporting.iddm("export", form, "first", "--guidance", "1", expect=2)
    assert "already exists" in answer.err
    assert "--overwrite" in answer.err
    assert {p: p.read_bytes() for p in [path, *path.rglob("*")] if p.is_file()} == before
    if form in ("onnx", "pt2"):
        return  # they are replaced as the others are, and take far longer
    exporting.iddm("export", form, "first", "--guidance", "1", "--overwrite")
    assert {p: p.read_bytes() for p in [path, *path.rglob("*")] if p.is_file()} != before
    assert litter(exporting.folder) == []


def test_the_folder_for_diffusers_is_complete(exporting):
    told = exporting.iddm("export", "diffusers", "first", "--out", "whole", "--json").json()
    folder = exporting.folder / "whole"
    index = json.loads((folder / "model_index.json").read_text())
    assert index["class_names"] == told["classes"]
    assert (folder / "samples.png").is_file()


def test_a_sampler_that_the_folder_for_diffusers_cannot_express_is_reported(exporting):
    words = ("export", "diffusers", "first", "--overwrite", "--out", "otherwise")
    assert "samples with ddim" in exporting.iddm(*words, "--sampler", "heun").err
    for sampler in ("ddim", "ddpm"):
        assert "cannot express" not in exporting.iddm(*words, "--sampler", sampler).err


def test_a_folder_that_is_not_an_export_is_kept_with_overwrite(exporting):
    thesis = exporting.folder / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("x")
    words = ("export", "diffusers", "first", "--out", "thesis", "--overwrite")
    assert "is not an export" in exporting.iddm(*words, expect=2).err
    for form in ("onnx", "pt2"):
        words = ("export", form, "first", "--out", "thesis", "--overwrite")
        assert "is a folder" in exporting.iddm(*words, expect=2).err
    assert [path.name for path in thesis.iterdir()] == ["thesis.tex"]
    (exporting.folder / "file").write_text("x")
    words = ("export", "diffusers", "first", "--out", "file", "--overwrite")
    assert "is not an export" in exporting.iddm(*words, expect=2).err
    assert "is a file" in exporting.iddm(*words[:-2], "file/below", expect=2).err


def test_neither_a_pipe_nor_the_folder_one_stands_in_is_replaced(exporting):
    os.mkfifo(exporting.folder / "pipe")
    for more in ((), ("--overwrite",)):
        answer = exporting.iddm("export", "pt2", "first", "--out", "pipe", *more, expect=2)
        assert "is not a regular file" in answer.err
    assert (exporting.folder / "pipe").is_fifo()
    (exporting.folder / "empty").mkdir()
    away = Shell(exporting.folder / "empty", exporting.env["IDDM_CACHE_DIR"])
    answer = away.iddm("export", "diffusers", "../runs/first", "--out", ".", expect=2)
    assert "no name of its own" in answer.err
    assert list(away.folder.iterdir()) == []


def test_a_checkpoint_and_its_raw_weights_can_be_chosen(exporting):
    words = ("export", "safetensors", "first", "--checkpoint", "5", "--weights", "raw", "--json")
    told = exporting.iddm(*words, "--out", "raw.safetensors").json()
    assert (told["step"], told["weights"]) == (5, "raw")
    answer = exporting.iddm("generate", "raw.safetensors", "--weights", "average", expect=2)
    assert "holds the raw weights only" in answer.err
    answer = exporting.iddm("generate", "raw.safetensors", "--checkpoint", "10", expect=2)
    assert "holds the weights of step 5 only" in answer.err


def pixels(folder) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.rglob("*-*.png"))])


def test_a_file_generates_what_its_run_generates_and_is_exported_again(exporting):
    exporting.iddm("export", "safetensors", "first", "--out", "moved.safetensors")
    drawing = ("--count", "2", "--seed", "4", "--no-grid")
    exporting.iddm("generate", "first", *drawing, "--out", "by-run")
    (exporting.folder / "away").mkdir(exist_ok=True)
    shutil.copy(exporting.folder / "moved.safetensors", exporting.folder / "away")
    exporting.iddm("generate", "away/moved.safetensors", *drawing, "--out", "by-file")
    assert np.array_equal(pixels(exporting.folder / "by-run"), pixels(exporting.folder / "by-file"))
    told = exporting.iddm("export", "diffusers", "moved.safetensors", "--out", "dd", "--json")
    assert told.json()["run"] == "first"
    again = exporting.iddm("generate", "moved.safetensors", "--count", "1", "--json").json()
    assert again["out"].startswith("moved-2")


SINGLE_PROCESS = """
import sys
sys.modules["torch"] = sys.modules["iddm_cli"] = None
import numpy as np, onnxruntime as ort
session = ort.InferenceSession("first.onnx")
noise = np.load("noise.npy")
label, guidance = np.arange(len(noise)) % 6, np.array(2, np.float32)
inputs = {"noise": noise, "label": label, "guidance": guidance}
np.save("images.npy", session.run(None, inputs)[0])
"""


def test_onnxruntime_alone_generates_what_the_command_generates(exporting):
    import torch

    from iddm_cli.engine import randomness

    exporting.iddm("export", "onnx", "first", "--overwrite")
    noise = randomness.normal(4, "sample", items=torch.zeros(6, dtype=torch.int64), step=0,
                              shape=(3, 16, 16))  # fmt: skip
    np.save(exporting.folder / "noise.npy", noise.numpy())
    subprocess.run([sys.executable, "-c", SINGLE_PROCESS], cwd=exporting.folder, check=True)
    exporting.iddm("generate", "first", "--count", "1", "--seed", "4", "--out", "drawn",
                   "--no-grid", "--guidance", "2", "--same-noise")  # fmt: skip
    found = np.load(exporting.folder / "images.npy").astype(int)
    assert (np.abs(found - pixels(exporting.folder / "drawn")) <= 1).mean() >= 0.999


def test_mistakes_are_reported(exporting):
    def told(*words: str, code: int = 2) -> str:
        return exporting.iddm("export", *words, expect=code).err

    assert "no run" in told("diffusers", "no-such", code=4)
    assert "No such file" in told("onnx", "no-such.safetensors", code=4)
    assert "no checkpoint of step 7" in told(
        "pt2", "first", "--checkpoint", "7", "--out", "new", code=4
    )
    assert "must end in .safetensors" in told("safetensors", "first", "--out", "x.bin")
    assert "opset" in told("onnx", "first", "--opset", "17")
    assert "Did you mean" in told("onxx", "first")
    answer = told("torchscript", "first", "--out", "x")
    assert "TorchScript is deprecated" in answer
    assert "iddm export pt2" in answer
    exporting.iddm(*SMOKE, "--name", "patched", "--set", "model.patch_size=2")
    assert "diffusers cannot express a network with model.patch_size: 2" in told(
        "diffusers", "patched"
    )
    assert not (exporting.folder / "patched-diffusers").exists()


@needs_mounts
@pytest.mark.parametrize("form", ["safetensors", "diffusers"])  # a file, and a folder
def test_a_full_disk_leaves_nothing_and_costs_nothing(exporting, form):
    """First a disk that is too small, then one whose old export must survive."""
    name = f"/mnt/first{FORMATS[form]}"
    keep = f"mkdir -p {name}/unet && echo {{}} > {name}/model_index.json"
    old = keep if form == "diffusers" else f"echo old > {name}"
    export = f"{IDDM} export {form} first --out {name}"
    script = (
        f"mount -t tmpfs -o size=64k t /mnt; {export}; echo code $? >&2; ls -A /mnt >&2;"
        f"{old}; find /mnt -type f > before; {export} --overwrite; echo code $? >&2;"
        f"find /mnt -type f | diff before - && echo same >&2"
    )
    err = run(exporting, f"unshare -m bash -c '{script}'").err
    assert err.count("No space left on device") == 2, err
    assert err.count("code 4") == 2, err
    assert err.rstrip().endswith("same"), err
    assert ".partial" not in err


@needs_bounds
@pytest.mark.parametrize("form", FORMATS)
def test_a_read_only_folder_is_reported_before_anything_is_computed(exporting, form):
    locked = exporting.folder / "locked"
    locked.mkdir(exist_ok=True)
    locked.chmod(0o500)
    bound = BOUND if os.geteuid() == 0 else ""
    answer = run(exporting, f"{bound} {IDDM} export {form} first --out locked/x{FORMATS[form]}", 2)
    assert "is not writable" in answer.err
    locked.chmod(0o700)
    assert list(locked.iterdir()) == []
