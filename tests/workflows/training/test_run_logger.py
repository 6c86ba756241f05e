"""The recorder: a run's files say what happened, and a full disk stops no training."""

import errno
import json
import math

import pytest
from PIL import Image

from iddm_cli import durable
from iddm_cli.checkpoints.events import SaveFailed
from iddm_cli.engine.events import (
    Evaluated,
    Logged,
    LossGap,
    MicroBatchReduced,
    RolledBack,
    SamplesGenerated,
)
from iddm_cli.runs.registry import create_run
from iddm_cli.workflows.training import run_logger
from iddm_cli.workflows.training.run_logger import RunLogger, save_loss_plot


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


def evaluated(step: int, held_out: float) -> dict[str, float]:
    return {"held_out_loss": held_out, "held_out_loss_band_1": 0.9, "training_loss": 0.25}


def test_an_evaluated_step_has_one_line_with_its_losses_in_both_files(run, recorder):
    recorder.record(logged(4, more=evaluated(4, 0.125)))
    recorder.record(Evaluated(4, evaluated(4, 0.125)))
    (row,) = rows(run)
    assert (row["held_out_loss"], row["training_loss"], row["loss"]) == (0.125, 0.25, 0.5)
    log = (run.path / "log.txt").read_text()
    assert "step 4: held-out loss 0.125, training loss 0.25\n" in log


def test_going_back_drops_the_losses_of_later_steps_as_well(run, recorder):
    for step in (2, 4):
        recorder.record(logged(step, more=evaluated(step, 0.5)))
    recorder.record(RolledBack(step=2, failed=4, lr=1e-4))
    assert [(row["step"], row["held_out_loss"]) for row in rows(run)] == [(2, 0.5)]


@pytest.mark.parametrize(
    ("best_metric", "advice"),
    [("held_out_loss", "the best checkpoint is step 30: iddm generate one --checkpoint best"),
     (None, "training.keep_best=held_out_loss keeps the best checkpoint"),
     ("loss", "training.stop_when=held_out_worse stops by itself")],
)  # fmt: skip
def test_a_gap_is_a_warning_with_the_settings_that_act_on_it(run, capsys, best_metric, advice):
    recorder = RunLogger(run, 0, best_metric=best_metric)
    recorder.record(LossGap(60, since=30, held_out=(0.123, 0.13), training=(0.11, 0.09)))
    said = " ".join(capsys.readouterr().err.split())
    assert "the held-out loss has risen since step 30 (0.123 → 0.13) while the" in said
    assert "begins to memorize its training images" in said
    assert advice in said
    assert advice in (run.path / "log.txt").read_text()


def test_the_plot_shows_the_losses_of_evaluated_steps_and_copes_without(run, recorder, monkeypatch):
    plots = []
    monkeypatch.setattr(
        run_logger.image_files, "plot_curve",
        lambda points, **others: plots.append((points, others)) or Image.new("RGB", (1, 1)),
    )  # fmt: skip
    recorder.record(logged(1))
    save_loss_plot(run)
    recorder.record(logged(2, more=evaluated(2, 0.5)))
    recorder.record(logged(3, more={"held_out_loss": math.nan, "training_loss": 0.2}))
    save_loss_plot(run)
    assert plots[0][1]["others"] == {}
    assert plots[1] == ([(1, 0.5), (2, 0.5), (3, 0.5)], {"title": "loss", "others": {
        "held-out images, fixed noise": [(2, 0.5)],
        "training images, same noise": [(2, 0.25), (3, 0.2)],
    }})  # fmt: skip
