"""Runs: names that are safe, the run last trained, one process at a time, metrics without gaps."""

import errno
import json
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
def test_ordinary_names_are_fine(name):
    check_run_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "-x", ".hidden", "a.", "con", "NUL.txt", "a\0b", "a\n", "ä",
     "x" * 65, " a", "../up", "lpt1", "~"],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_nowhere_are_refused(name):
    with pytest.raises(UsageError):
        check_run_name(name)


def test_a_taken_name_is_told_with_what_to_do(tmp_path):
    make(tmp_path, "one")
    with pytest.raises(RunError, match="one exists already") as refused:
        create_run(tmp_path, "one", {})
    assert "iddm resume one" in refused.value.hint


def test_fresh_names_are_free(tmp_path):
    names = [
        create_run(tmp_path, make_run_name(tmp_path, "my profile!"), {}).name for _ in range(3)
    ]
    assert len(set(names)) == 3
    assert all(name.startswith("my-profile-2") for name in names)


def test_a_run_is_found_by_name_by_path_and_as_the_last_trained(tmp_path):
    old = make(tmp_path / "runs", "old", "2026-01-01")
    new = make(tmp_path / "runs", "new", "2026-02-01")
    assert open_run(tmp_path / "runs", "old") == old
    assert open_run(Path("elsewhere"), str(old.path)) == old
    assert open_run(tmp_path / "runs", None) == new
    assert [run.name for run in list_runs(tmp_path / "runs")] == ["new", "old"]
    with pytest.raises(RunError) as refused:
        open_run(tmp_path / "runs", "odl")
    assert refused.value.hint == "Did you mean old?"


def test_a_run_is_found_from_inside_it_and_has_its_name(tmp_path, monkeypatch):
    run = make(tmp_path, "one")
    for folder, reference in ((run.path, "."), (run.samples_dir, ".."), (run.path, "")):
        monkeypatch.chdir(folder)
        assert open_run(Path("runs"), reference).name == "one"
    (tmp_path / "alias").symlink_to(run.path)
    assert open_run(tmp_path, "alias").name == "alias"


def test_the_runs_dir_is_the_option_else_the_variable_else_the_config_else_here(
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


def test_a_locked_run_is_refused_and_free_again_afterwards(tmp_path):
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


def test_only_runs_are_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(RunError, match="is not a run"):
        create_run(tmp_path, "thesis", {}, overwrite=True)
    assert list((tmp_path / "thesis").iterdir()) == []


def test_a_run_is_there_until_the_one_that_overwrites_it_is_written(tmp_path):
    def large():
        yield "checkpoints/model", b"1"
        raise OSError(errno.ENOSPC, "No space left on device")

    run = make(tmp_path, "one")
    before = run.read_json("run.json")
    with pytest.raises(RunError, match="No space left"):
        create_run(tmp_path, "one", {}, large=large(), overwrite=True)
    assert run.read_json("run.json") == before
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_metrics_past_a_step_and_torn_lines_are_cut(tmp_path):
    run = make(tmp_path, "one")
    for step in range(1, 6):
        run.metrics.append(json.dumps({"step": step}))
    with run.metrics.path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3, 4, 5]
    run.truncate_metrics(3)
    assert run.metrics.path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize("content", ["", "[]", "{", "\0"])
def test_a_damaged_manifest_is_one_sentence(tmp_path, content):
    run = make(tmp_path, "one")
    (run.path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        run.read_json("run.json")
    assert list_runs(tmp_path) == [run]


def test_a_run_that_nobody_trains_any_more_was_killed(tmp_path):
    run = make(tmp_path, "one")
    run.update_manifest(state="running")
    assert run.read_state() == "killed"
    with run.lock.hold():
        assert run.read_state() == "running"
    run.update_manifest(state="finished")
    assert run.read_state() == "finished"
