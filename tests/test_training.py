"""Training a run, as a member of a team that does not lead it."""

import io
import signal
import weakref
from types import SimpleNamespace

from iddm_cli.engine.events import Stepped, Stopped
from iddm_cli.workflows.training.loop import run_training


def test_a_follower_keeps_none_of_the_events_but_the_last():
    alive: weakref.WeakSet = weakref.WeakSet()
    most = 0

    def fit(asked):
        nonlocal most
        for step in range(100):
            event = Stepped(step)
            alive.add(event)
            most = max(most, len(alive))
            yield event
        yield Stopped(100, 128 + signal.SIGTERM)

    trainer = SimpleNamespace(
        group=SimpleNamespace(leads=False), batches=SimpleNamespace(store=io.BytesIO()), fit=fit
    )
    assert run_training(trainer, run=None, as_json=False) == 143
    assert most < 5
