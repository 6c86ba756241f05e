"""The recorder: a run's files say what happened, and a full disk stops no training."""

import errno
import json
import math

import pytest

from iddm_cli import durable
from iddm_cli.checkpoints.events import SaveFailed
from iddm_cli.engine.events import Logged, MicroBatchReduced, RolledBack, SamplesGenerated
from iddm_cli.runs.registry import create_run
from iddm_cli.workflows.training.run_logger import RunLogger


def logged(step: int, **changes: float) -> Logged:
    figures = {"epoch": 0.1, "loss": 0.5, "lr": 1e-3, "grad_norm": 1.0, "images_per_second": 9.0}
    return Logged(step=step, seconds=1.0, **(figures | changes))


@pytest.fixture
def run(tmp_path):
    return create_run(tmp_path, "one", {"run.json": b"{}"})


@pytest.fixture
def recorder(run) -> RunLogger:
    return RunLogger(run, 0)


def rows(run) -> list[dict]:
    return [json.loads(line) for line in run.metrics.path.read_text().splitlines()]


def test_what_is_not_finite_is_null_since_json_has_no_nan(run, recorder):
    recorder.record(logged(1, loss=math.nan, grad_norm=math.inf))
    assert "NaN" not in run.metrics.path.read_text()
    assert (rows(run)[0]["loss"], rows(run)[0]["grad_norm"]) == (None, None)
    recorder.record(SamplesGenerated(1, run.samples_dir / "a.png"))
    assert (run.path / "loss.png").exists()


def test_lines_wait_while_the_disk_is_full(run, recorder, monkeypatch, capsys):
    def full(handle, content):
        handle.write(content[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    recorder.record(logged(1))
    monkeypatch.setattr(durable.disk, "write", full)
    recorder.record(logged(2))
    recorder.record(logged(3))
    recorder.record(SaveFailed(3, "the checkpoint of step 3 could not be saved: No space left"))
    assert [row["step"] for row in rows(run)] == [1], "and no half line"
    monkeypatch.undo()
    recorder.record(logged(4))
    assert [row["step"] for row in rows(run)] == [1, 2, 3, 4]
    said = capsys.readouterr().err
    assert said.count("metrics.jsonl cannot be written") == 1
    assert "training continues" in said


def test_going_back_leaves_each_step_once(run, recorder, capsys):
    for step in range(1, 6):
        recorder.record(logged(step))
    recorder.record(RolledBack(step=2, failed=5, lr=1e-4))
    recorder.record(logged(3))
    assert [row["step"] for row in rows(run)] == [1, 2, 3]
    assert "continues from step 2" in capsys.readouterr().err


def test_skipped_updates_are_told_when_there_are_new_ones(run, capsys):
    recorder = RunLogger(run, 2)
    for step, skipped in enumerate((2, 3, 3, 5)):
        recorder.record(logged(step, skipped=skipped))
    said = capsys.readouterr().err
    assert [word in said for word in ("2 updates", "3 updates", "5 updates")] == [False, True, True]
    assert said.count("3 updates were skipped") == 1


def test_what_to_set_is_told_where_memory_ran_out(run, recorder, capsys):
    recorder.record(MicroBatchReduced(3, 8))
    assert "training.micro_batch=8" in capsys.readouterr().err
    assert "training.micro_batch=8" in (run.path / "log.txt").read_text()
