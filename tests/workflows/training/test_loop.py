"""Training a run, as a member of a team that does not lead it."""

import io
import weakref
from types import SimpleNamespace

import pytest
import torch

from iddm_cli.engine.events import Request, Stepped, Stopped
from iddm_cli.engine.monitoring.nonfinite import NonFiniteGuard
from iddm_cli.errors import RunError
from iddm_cli.profiles.settings import TrainingSettings
from iddm_cli.runs.registry import create_run
from iddm_cli.workflows.training.loop import run_training


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
        train_step=SimpleNamespace(batches=SimpleNamespace(store=io.BytesIO())),
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
        train_step=SimpleNamespace(batches=SimpleNamespace(store=io.BytesIO())),
        state=SimpleNamespace(guard=NonFiniteGuard(torch.device("cpu"), 3)),
        settings=TrainingSettings(),
        step=0,
        total_steps=2,
        fit=fit,
    )
    with run.lock.hold(), pytest.raises(RunError, match="taken over by process 7 on elsewhere"):
        run_training(trainer, run, as_json=False)
    assert saved == [1]
