"""Golden runs: what any earlier version has written is still read, and means the same.

One folder for each format of checkpoints, made by the version that brought it; none is ever made
anew. `drawn` holds pictures as that version drew them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.checkpoints.checkpoint import open_checkpoint
from iddm_cli.checkpoints.state_file import FORMAT
from tests.e2e.conftest import Shell

GOLDEN = sorted((Path(__file__).parent / "golden").iterdir())


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name)
def golden(request, tmp_path) -> Path:
    """A copy, since resuming changes it."""
    shutil.copytree(request.param, tmp_path / "golden")
    return tmp_path / "golden"


@pytest.fixture
def shell(tmp_path) -> Shell:
    return Shell(tmp_path, tmp_path / "cache")


def test_there_is_one_of_every_format():
    assert [path.name for path in GOLDEN] == [f"format-{n}" for n in range(1, FORMAT + 1)]


def test_every_file_is_what_its_digest_says(golden):
    (checkpoint,) = (golden / "run" / "checkpoints").iterdir()
    open_checkpoint(checkpoint).verify()


def test_it_draws_what_it_drew(golden, shell):
    shell.iddm("generate", golden / "run", "--class", "dot", "--count", "1", "--out", "drawn",
               "--no-grid", "--device", "cpu")  # fmt: skip
    (wanted,) = (golden / "drawn").iterdir()
    pixels = [
        np.asarray(Image.open(path)).astype(int)
        for path in (wanted, shell.folder / "drawn" / "dot" / wanted.name)
    ]
    assert np.abs(pixels[0] - pixels[1]).max() <= 1


def test_it_is_trained_further(golden, shell):
    run = golden / "run"
    answer = shell.iddm("resume", run, "--set", f"data.path={golden / 'pictures'}")
    assert "resumed at step 2 of 4" in answer.err
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]
    assert open_checkpoint(run / "checkpoints" / "step-00000004").step == 4
