"""Damaged run folders: every command works, or fails with a clear message."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import SMOKE, Shell

LAST = "checkpoints/step-00000010"
PLACES = ["profile.yaml", "run.json", "dataset.json", "metrics.jsonl", "log.txt", "samples",
          "checkpoints", LAST, f"{LAST}/state.json", f"{LAST}/model.safetensors", "lock.json",
          ".lock"]  # fmt: skip
NEEDED = {"profile.yaml", "run.json", "dataset.json", ".lock"}
"""Files without which a run cannot resume."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("half"), tmp_path_factory.mktemp("cache"))
    shell.iddm(*SMOKE, "--name", "whole")
    return shell


def harm(path: Path, how: str) -> None:
    """Remove or replace a file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    match how:
        case "garbage":
            path.write_bytes(b"\x00\xff{]" * 9)
        case "nested":
            path.write_text("[" * 100_000)
        case "folder":
            path.mkdir()
            (path / "a").write_text("a")


@pytest.mark.parametrize("how", ["gone", "garbage", "nested", "folder"])
@pytest.mark.parametrize("place", PLACES)
def test_missing_and_damaged_files_are_reported(shell, place, how):
    runs = shell.folder / "runs"
    shutil.rmtree(runs / "half", ignore_errors=True)
    shutil.copytree(runs / "whole", runs / "half")
    harm(runs / "half" / place, how)
    shell.iddm("runs")
    for words in (
        ("generate", "half", "--count", "1", "--steps", "1"),
        ("resume", "half", "--steps", "11"),
    ):
        answer = shell.iddm(*words, expect=None)
        assert "bug in iddm" not in answer.err
        assert answer.code in (0, 1, 2, 4), answer.err
        if answer.code:
            assert answer.err.splitlines()[-1].strip()
            assert "half" in answer.err
        if place not in NEEDED and words[0] == "resume" and how == "gone":
            assert answer.code == 0, answer.err
