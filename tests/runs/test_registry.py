"""The registry of runs: safe names, finding runs, and replacing them atomically."""

import errno
import os
import socket
from pathlib import Path

import pytest

from iddm_cli.errors import RunError, UsageError
from iddm_cli.runs.registry import (
    check_run_name,
    create_run,
    list_runs,
    make_run_name,
    open_run,
    resolve_runs_dir,
)
from iddm_cli.runs.run import Run, encode_json


def make(folder: Path, name: str, updated: str = "2026-01-01") -> Run:
    document = {"updated": updated, "pid": 12, "host": "here"}
    return create_run(folder, name, {"run.json": encode_json(document), "profile.yaml": b""})


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "x" * 64, "0"])
def test_ordinary_names_are_accepted(name):
    check_run_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "-x", ".hidden", "a.", "con", "NUL.txt", "a\0b", "a\n", "ä",
     "x" * 65, " a", "../up", "lpt1", "~"],
)  # fmt: skip
def test_unsafe_names_are_refused(name):
    with pytest.raises(UsageError):
        check_run_name(name)


def test_a_taken_name_is_refused_with_a_hint(tmp_path):
    make(tmp_path, "one")
    with pytest.raises(RunError, match="one already exists") as refused:
        create_run(tmp_path, "one", {})
    assert "iddm resume one" in refused.value.hint


def test_generated_names_are_unused(tmp_path):
    names = [
        create_run(tmp_path, make_run_name(tmp_path, "my profile!"), {}).name for _ in range(3)
    ]
    assert len(set(names)) == 3
    assert all(name.startswith("my-profile-2") for name in names)


def test_a_run_is_found_by_name_by_path_and_as_the_most_recent(tmp_path):
    old = make(tmp_path / "runs", "old", "2026-01-01")
    new = make(tmp_path / "runs", "new", "2026-02-01")
    assert open_run(tmp_path / "runs", "old") == old
    assert open_run(Path("elsewhere"), str(old.path)) == old
    assert open_run(tmp_path / "runs", None) == new
    assert [run.name for run in list_runs(tmp_path / "runs")] == ["new", "old"]
    with pytest.raises(RunError) as refused:
        open_run(tmp_path / "runs", "odl")
    assert refused.value.hint == ("Did you mean old? Runs in another folder: --runs-dir FOLDER.")


def test_a_run_is_found_from_inside_its_folder(tmp_path, monkeypatch):
    run = make(tmp_path, "one")
    for folder, reference in ((run.path, "."), (run.samples_dir, ".."), (run.path, "")):
        monkeypatch.chdir(folder)
        assert open_run(Path("runs"), reference).name == "one"
    (tmp_path / "alias").symlink_to(run.path)
    assert open_run(tmp_path, "alias").name == "alias"


def test_the_runs_dir_is_the_option_else_the_variable_else_the_config_else_the_default(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("IDDM_RUNS_DIR", raising=False)
    assert resolve_runs_dir(None) == Path("runs")
    (tmp_path / "iddm").mkdir()
    (tmp_path / "iddm" / "config.yaml").write_text("runs_dir: /data/runs\n")
    assert resolve_runs_dir(None) == Path("/data/runs")
    monkeypatch.setenv("IDDM_RUNS_DIR", "/var/runs")
    assert resolve_runs_dir(None) == Path("/var/runs")
    assert resolve_runs_dir(Path("mine")) == Path("mine")
    monkeypatch.delenv("IDDM_RUNS_DIR")
    (tmp_path / "iddm" / "config.yaml").write_text("run_dir: x\n")
    with pytest.raises(UsageError, match="runs_dir"):
        resolve_runs_dir(None)


def test_a_locked_run_is_refused_until_it_is_released(tmp_path):
    run = make(tmp_path, "one")
    here = f"trained by process {os.getpid()} on {socket.gethostname()}"
    with run.lock.hold():
        with pytest.raises(RunError, match=here), run.lock.hold():
            pass
        with pytest.raises(RunError, match=here):
            create_run(tmp_path, "one", {}, overwrite=True)
    with run.lock.hold():
        pass
    create_run(tmp_path, "one", {"new": b"1"}, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert {path.name for path in run.path.iterdir()} == {"new", "samples", "checkpoints"}


def test_overwriting_refuses_folders_that_are_not_runs(tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(RunError, match="is not a run"):
        create_run(tmp_path, "thesis", {}, overwrite=True)
    assert list((tmp_path / "thesis").iterdir()) == []


def test_a_run_stays_until_its_replacement_is_complete(tmp_path):
    def large():
        yield "checkpoints/model", b"1"
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make(tmp_path, "one")
    before = run.read_json("run.json")
    with pytest.raises(RunError, match="No space left"):
        create_run(tmp_path, "one", {}, large=large(), overwrite=True)
    assert run.read_json("run.json") == before
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
