"""Datasets in shards through the command: the page's commands, and training from anywhere."""

import re
import shlex
from pathlib import Path

import pytest

from tests.data.sources.shards.specimens import write_parquet, write_tars

from .conftest import SMOKE

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (iddm .*)", PAGE, re.MULTILINE)
SHORT = ("--steps", "2", "--set", "training.sample_count=0")


def test_the_commands_of_the_page(shell):
    write_tars(shell.folder / "shards")
    assert len(COMMANDS) > 1
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        shell.iddm(*words, *(SHORT if words[0] == "train" else ()))


def test_a_run_on_parquet_resumes_from_another_folder(shell):
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    write_parquet(shell.folder / "pq" / "train-0.parquet", range(9))
    write_parquet(shell.folder / "pq" / "test-0.parquet", range(3))
    shell.iddm(*SMOKE, *SHORT, "--data", "pq/*.parquet", "--name", "a")
    runs = str(shell.folder / "runs")
    shell.folder = shell.folder / ".config"
    shell.folder.mkdir(exist_ok=True)
    shell.iddm("resume", "a", "--runs-dir", runs, "--steps", "3")
