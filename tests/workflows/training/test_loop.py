"""Training a run, as a member of a team that does not lead it."""

import json
import weakref
from types import SimpleNamespace

import pytest
import torch

from iddm_cli.engine.events import Request, Stepped, Stopped
from iddm_cli.engine.monitoring.nonfinite import NonFiniteGuard
from iddm_cli.errors import RunError
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.runs.registry import create_run
from iddm_cli.workflows.training import resume
from iddm_cli.workflows.training.loop import run_training
from tests.engine.monitoring.test_evaluations import script, watched


def test_a_follower_keeps_none_of_the_events_but_the_last():
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0

    def fit(poll_request):
        nonlocal most
        for step in range(100):
            event = Stepped(step)
            alive.add(event)
            most = max(most, len(alive))
            yield event
        yield Stopped(100, Request.TERMINATE)

    trainer = SimpleNamespace(
        group=SimpleNamespace(is_main=False),
        close=lambda: None,
        fit=fit,
    )
    assert run_training(trainer, run=None, as_json=False) == 143
    assert most < 5


def test_no_checkpoint_is_written_into_a_run_that_was_taken_over(tmp_path):
    """The lock is checked before each checkpoint, and the metrics are on the disk by then."""
    run = create_run(tmp_path, "one", {"run.json": b"{}"})
    saved = []

    def fit(poll_request, before_checkpoint):
        before_checkpoint()
        saved.append(1)
        yield Stepped(1)
        (run.path / "lock.json").write_text('{"pid": 7, "host": "elsewhere"}')
        before_checkpoint()
        saved.append(2)

    trainer = SimpleNamespace(
        group=SimpleNamespace(is_main=True),
        close=lambda: None,
        state=SimpleNamespace(guard=NonFiniteGuard(torch.device("cpu"), 3)),
        settings=TrainingSettings(),
        step=0,
        total_steps=2,
        fit=fit,
    )
    with run.lock.hold(), pytest.raises(RunError, match="taken over by process 7 on elsewhere"):
        run_training(trainer, run, as_json=False)
    assert saved == [1]


def stop_early(folder, **changes):
    """Return a trainer whose held-out loss rises from the start, and its run."""
    trainer = watched(folder / "one", evaluation={"patience": 2}, steps=20, **changes)
    trainer.checkpoints.path = folder / "one" / "checkpoints"
    return trainer, create_run(folder, "one", {"run.json": b"{}"})


def test_a_run_that_stops_early_is_finished_and_says_where_the_best_checkpoint_is(tmp_path, capsys):
    trainer, run = stop_early(tmp_path, stop_when="held_out_worse")
    script(trainer, 1.0, 2.0, 3.0)
    with run.lock.hold():
        assert run_training(trainer, run, as_json=False) == 0
    manifest = run.read_json("run.json")
    assert (manifest["state"], manifest["step"], manifest["stopped_early"]) == ("finished", 6, True)
    expected = (
        "run one stopped at step 6: the held-out loss has not improved since step 2; the best "
        "checkpoint is step 2: iddm generate one --checkpoint best"
    )
    assert expected in " ".join(capsys.readouterr().err.split())
    assert expected in (run.path / "log.txt").read_text()


def test_a_resumed_run_that_stopped_early_says_how_to_continue(tmp_path, capsys):
    trainer, run = stop_early(tmp_path, stop_when="held_out_worse", keep_best="loss")
    script(trainer, 1.0, 2.0, 3.0)
    with run.lock.hold():
        assert run_training(trainer, run, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["stopped_early"] is True
    assert document["held_out_loss"] == 3.0
    assert document["best_step"] == trainer.checkpoints.find_best("loss") == 6
    resume._report_finished(run, trainer, as_json=False)
    said = " ".join(capsys.readouterr().err.split())
    assert "the best checkpoint by loss is step 6" in said
    assert "train on with: iddm resume one --set training.stop_when=null" in said
