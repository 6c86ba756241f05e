"""A run: metrics without gaps, damaged files, and its state."""

import json
from pathlib import Path

import pytest

from iddm_cli.errors import RunError
from iddm_cli.runs.registry import create_run, list_runs
from iddm_cli.runs.run import Run, encode_json
from iddm_cli.value_range import EIGHT_BIT, ValueRange


def make(folder: Path, name: str, updated: str = "2026-01-01") -> Run:
    document = {"updated": updated, "pid": 12, "host": "here"}
    return create_run(folder, name, {"run.json": encode_json(document), "profile.yaml": b""})


def test_truncating_drops_metrics_after_a_step_and_incomplete_lines(tmp_path):
    run = make(tmp_path, "one")
    for step in range(1, 6):
        run.metrics.append(json.dumps({"step": step}))
    with run.metrics.path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [row["step"] for row in run.read_metrics()] == [1, 2, 3, 4, 5]
    run.truncate_metrics(3)
    assert run.metrics.path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize("content", ["", "[]", "{", "\0"])
def test_a_damaged_manifest_is_reported_by_name(tmp_path, content):
    run = make(tmp_path, "one")
    (run.path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        run.read_json("run.json")
    assert list_runs(tmp_path) == [run]


def test_a_running_state_without_a_lock_means_killed(tmp_path):
    run = make(tmp_path, "one")
    run.update_manifest(state="running")
    assert run.read_state() == "killed"
    with run.lock.hold():
        assert run.read_state() == "running"
    run.update_manifest(state="finished")
    assert run.read_state() == "finished"


def test_the_range_of_values_is_read_and_an_old_run_has_8_bits(tmp_path):
    run = Run(tmp_path)
    run.write_json("dataset.json", {"classes": {}})
    assert run.read_values() == EIGHT_BIT
    values = ValueRange("uint16", (300.0,), (3300.0,))
    run.write_json("dataset.json", {"values": values.to_json()})
    assert run.read_values() == values
    run.write_json("dataset.json", {"values": {"dtype": "uint16"}})
    with pytest.raises(RunError, match=r"dataset\.json is damaged: values\.low"):
        run.read_values()
