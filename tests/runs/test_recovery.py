"""Recovery: what a crash left aside gets its name back, unless a process is using it."""

import json
import shutil

import pytest

from iddm_cli.errors import RunError
from iddm_cli.runs.locks import RunLock
from iddm_cli.runs.registry import create_run, list_runs, open_run
from iddm_cli.storage.moves import INCOMPLETE, aside_path

FILES = {"profile.yaml": b"x", "run.json": json.dumps({"state": "finished"}).encode()}


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path, "first", FILES)


def test_a_run_that_was_about_to_be_replaced_is_there(tmp_path, run):
    run.path.rename(aside_path(run.path))
    assert [found.name for found in list_runs(tmp_path)] == ["first"]
    assert open_run(tmp_path, "first").read_state() == "finished"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("reference", ["first", None])
def test_a_file_of_a_run_that_was_about_to_be_replaced_is_there(tmp_path, run, name, reference):
    path = run.path / name
    path.rename(aside_path(path))
    assert open_run(tmp_path, reference).path == run.path
    assert path.read_bytes() == FILES[name]


def test_nothing_is_renamed_while_a_process_holds_the_run(tmp_path, run):
    path = run.path / "run.json"
    aside = path.rename(aside_path(path))
    with RunLock(run.path).hold():
        assert run.read_json("run.json") == {"state": "finished"}
        list_runs(tmp_path)
        assert aside.exists()


def test_a_run_of_which_files_may_be_missing_is_none_and_its_name_is_free(tmp_path, run):
    (run.path / INCOMPLETE).touch()
    assert list_runs(tmp_path) == []
    with pytest.raises(RunError, match="no run 'first'"):
        open_run(tmp_path, "first")
    create_run(tmp_path, "first", FILES)
    assert [found.name for found in list_runs(tmp_path)] == ["first"]


def test_a_folder_that_is_only_named_like_one_moved_aside_stays(tmp_path, run):
    shutil.copytree(run.path, aside_path(run.path))
    assert len(list_runs(tmp_path)) == 1
    assert aside_path(run.path).exists()
