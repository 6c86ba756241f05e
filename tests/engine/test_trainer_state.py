"""A course: resumed wherever it was saved, by whatever clock, it is the same course."""

import os
import time

from iddm_cli.checkpoints.events import Saved
from iddm_cli.engine.events import Logged
from iddm_cli.engine.trainer import Trainer
from tests.engine.test_trainer import bits, make

STEPS = int(os.environ.get("IDDM_TEST_STEPS", "80"))
"""1000 is the long form."""


def tensors(trainer: Trainer, step: int) -> dict[str, bytes]:
    saved = trainer.checkpoints.at(step)
    return {
        f"{part}/{name}": tensor.numpy().tobytes()
        for part in ("model", "average", "optimizer")
        for name, tensor in saved.read(part).items()
    }


def test_from_each_of_forty_checkpoints_the_next_one_follows_bit_for_bit(tmp_path):
    every = STEPS // 40
    changes = {"steps": STEPS, "checkpoint_every": every, "keep": 99, "sample_every": 0}
    changes |= {"log_every": 1000, "lr": 1e-3}
    straight = make(tmp_path, **changes)
    list(straight.fit())
    again = make(tmp_path / "again", **changes)
    for step in range(every, STEPS, every):
        again.load(straight.checkpoints.at(step))
        for _ in range(every):
            again.train_step.update(again.step)
            again.state.step += 1
        again.save()
        again.writer.wait()
        assert tensors(again, step + every) == tensors(straight, step + every)
    assert bits(again) == bits(straight)


def test_a_clock_that_jumps_back_bothers_nobody(tmp_path, monkeypatch):
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: next(now))
    trainer = make(tmp_path, steps=6, sample_every=0)
    told = list(trainer.fit())
    logged = [event for event in told if isinstance(event, Logged)]
    assert all(event.images_per_second > 0 for event in logged)
    assert [event.seconds for event in logged] == sorted(event.seconds for event in logged)
    assert [event.step for event in told if isinstance(event, Saved)] == [2, 4, 6]


def test_checkpoints_remember_the_mean_loss_since_the_one_before(tmp_path):
    trainer = make(tmp_path, steps=6, checkpoint_every=3, sample_every=0, keep_best="loss")
    losses = [event.loss for event in trainer.fit() if isinstance(event, Logged)]
    for step in (3, 6):
        mean = sum(losses[step - 3 : step]) / 3
        assert abs(trainer.checkpoints.at(step).metrics["loss"] - mean) < 1e-6
