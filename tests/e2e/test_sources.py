"""Datasets in shards through the command: the page's commands, and training from anywhere."""

import re
import shlex
from pathlib import Path

import pytest

from iddm_cli.data.sources.registry import open_source
from tests.data.sources.shards.specimens import write_parquet, write_tars

from .conftest import SMOKE

PAGE = (Path(__file__).parent.parent.parent / "docs" / "sources.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (iddm .*)", PAGE, re.MULTILINE)
SHORT = ("--steps", "2", "--set", "training.sample_count=0")


def test_the_commands_of_the_page(trained, shell):
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    runs = ("--runs-dir", str(trained.folder / "runs"), "--count", "2", "--steps", "2")
    write_tars(shell.folder / "shards")
    assert len(COMMANDS) > 1
    more = {"train": SHORT, "generate": runs}
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        shell.iddm(*words, *more.get(words[0], ()))


def test_a_run_on_parquet_resumes_from_another_folder(shell):
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    write_parquet(shell.folder / "pq" / "train-0.parquet", range(9))
    write_parquet(shell.folder / "pq" / "test-0.parquet", range(3))
    shell.iddm(*SMOKE, *SHORT, "--data", "pq/*.parquet", "--name", "a")
    runs = str(shell.folder / "runs")
    shell.folder = shell.folder / ".config"
    shell.folder.mkdir(exist_ok=True)
    shell.iddm("resume", "a", "--runs-dir", runs, "--steps", "3")


def decode(source) -> list[tuple[str, bytes]]:
    """Return the class and the pixels of each image, sorted."""
    return sorted(
        (source.classes[source.labels[i]], source.image(i).open().image.tobytes())
        for i in range(len(source))
    )


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_generated_shards_hold_the_images_of_the_folder(trained, shell, form, monkeypatch):
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    some = ("generate", "first", "--runs-dir", trained.folder / "runs", "--count", "3",
            "--steps", "2", "--precision", "fp32", "--batch-size", "600")  # fmt: skip
    shell.iddm(*some, "--out", "folder")
    # 18 images in batches of 600: one shard, so the second share has nothing to do.
    first = shell.iddm(*some, "--out", "shards", "--to", form, "--shard", "1/2", "--json")
    assert first.json()["missing"] == 18
    shell.iddm("generate", "--check", "--out", "shards", expect=1)
    shell.iddm(*some, "--out", "shards", "--to", form, "--shard", "0/2")
    shell.iddm("generate", "--check", "--out", "shards")
    monkeypatch.setenv("IDDM_CACHE_DIR", str(shell.folder / "cache"))
    path = shell.folder / "shards" / f"00000.{form}"
    assert decode(open_source(str(path.parent), size=(8, 8))) == decode(
        open_source(str(shell.folder / "folder"), size=(8, 8))
    )
    # What is whole stays; what is damaged is generated again, with the same bytes.
    content, written = path.read_bytes(), path.stat().st_mtime_ns
    shell.iddm(*some, "--out", "shards", "--to", form)
    assert path.stat().st_mtime_ns == written
    path.write_bytes(content[: len(content) // 2])
    shell.iddm(*some, "--out", "shards", "--to", form)
    assert path.read_bytes() == content
    other = shell.iddm(*some, "--out", "shards", "--to", form, "--seed", "1", expect=2)
    assert "generated otherwise: seed 0, not 1" in other.err
