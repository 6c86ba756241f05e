"""Photos of phones through the command: with their extra, without it, and once it is installed."""

import json

import numpy as np
import pytest
from PIL import Image

from .conftest import SMOKE

pillow_heif = pytest.importorskip("pillow_heif")
SHORT = (*SMOKE, "--steps", "3", "--set", "training.sample_count=0")
REPORT = "3 HEIC photos are left out: pip install 'iddm-cli[heif]'"


def save_photos(folder, *names: str) -> None:
    pillow_heif.register_heif_opener()
    folder.mkdir()
    for i, name in enumerate(names):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)


def test_photos_that_need_an_extra(shell):
    """The decoding processes are new interpreters, where sitecustomize blocks the package."""
    blocked = shell.folder / "blocked"
    blocked.mkdir()
    code = "import sys; sys.modules['pillow_heif'] = None"
    (blocked / "sitecustomize.py").write_text(code)
    save_photos(shell.folder / "phone", "1.heic", "2.heic", "3.HEIC", "4.jpg", "5.jpg")
    save_photos(shell.folder / "only", "1.heic", "2.heic", "3.heic")
    (shell.folder / "phone/6.NEF").write_bytes(b"MM\0*")
    (shell.folder / "phone/4.xml").write_text("<boxes/>")

    shell.iddm("--version")  # starts the server of commands, which is not to be blocked
    path = shell.env.pop("PYTHONPATH", "")
    shell.env["PYTHONPATH"] = f"{blocked}:{path}"
    lines = shell.iddm(*SHORT, "--data", "phone", "--dry-run").out.splitlines()[:8]
    left_out = [line for line in lines if line.startswith("left out")]
    assert REPORT in left_out[0] and "1 camera raw photo is left out: " in left_out[1]
    skipped = next(line for line in lines if line.startswith("skipped"))
    assert skipped.split() == ["skipped", "1", ".xml", "(annotations)"]
    inspected = json.loads(shell.iddm("inspect-dataset", "phone", "--json").out)
    assert inspected["count"] == 2 and inspected["left_out"][0] == REPORT
    answer = shell.iddm(*SHORT, "--data", "only", expect=3)
    assert "none of the 3 images of only can be decoded" in answer.err and REPORT in answer.err

    shell.env["PYTHONPATH"] = path
    shell.iddm(*SHORT, "--data", "phone", "--name", "one")
    assert json.loads((shell.folder / "runs/one/dataset.json").read_text())["count"] == 5
