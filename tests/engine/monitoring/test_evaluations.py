"""Evaluations: they change nothing of a training, and decide what is kept and where it ends."""

import itertools

import pytest
import torch

from iddm_cli.checkpoints.events import Saved
from iddm_cli.engine.events import Evaluated, Logged, LossGap, Request, Stopped, StoppedEarly
from iddm_cli.engine.monitoring.evaluations import Evaluations
from iddm_cli.profiles.evaluation_settings import EvaluationSettings
from tests.engine.monitoring.losses import make_loss
from tests.engine.test_trainer import bits, make, saved_at_once, stop_at

QUIET = {"sample_every": 0, "log_every": 99, "checkpoint_every": 99}


def watched(folder, *, evaluation=None, evaluate=None, loss=None, **changes):
    """Return a trainer with a held-out loss, evaluated after every second step."""
    settings = EvaluationSettings(**{"loss_every": 2, **(evaluation or {})})
    watch = {"evaluation": settings, "held_out_loss": loss or make_loss(), "evaluate": evaluate}
    return make(folder, watch=watch, **{**QUIET, **changes})


def rows(events) -> list[tuple]:
    """Return what metrics.jsonl would hold of the evaluations."""
    return [(e.step, e.loss, e.more) for e in events if isinstance(e, Logged)]


def script(trainer, *losses: float, training=None) -> None:
    """Let the held-out loss have these values, one after the other."""
    values = iter(zip(losses, training or itertools.repeat(0.1), strict=False))

    def compute(*_, **__):
        held_out, fixed = next(values)
        return {"held_out_loss": held_out, "training_loss": fixed}

    trainer.evaluations.held_out_loss.compute = compute


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.3, "precision": "bf16"}], ids=str)
def test_weights_are_the_same_to_the_bit_with_and_without_evaluations(tmp_path, changes):
    plain = make(tmp_path / "a", **QUIET, **changes)
    with_loss = watched(
        tmp_path / "b", evaluation={"loss_every": 1, "every": 1}, evaluate=lambda *_: {"mind": 1.0},
        keep_best="mind", **changes,
    )  # fmt: skip
    list(plain.fit()), list(with_loss.fit())
    assert bits(with_loss) == bits(plain)


def test_a_line_of_an_evaluated_step_holds_both_losses_and_others_do_not(tmp_path):
    events = list(watched(tmp_path, steps=5, log_every=1).fit())
    found = {step: more for step, _, more in rows(events)}
    assert {step for step, more in found.items() if "held_out_loss" in more} == {2, 4, 5}
    assert [(e.step, e.values) for e in events if isinstance(e, Evaluated)] == [
        (step, found[step]) for step in (2, 4, 5)
    ]


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_resumed_training_has_the_rows_of_one_that_was_never_stopped(tmp_path, stop):
    straight = rows(watched(tmp_path / "a", steps=6, log_every=1).fit())
    first = watched(tmp_path / "b", steps=6, log_every=1)
    begun = rows(first.fit(lambda: stop_at(first, stop)))
    second = watched(tmp_path / "b", steps=6, log_every=1)
    second.load(second.checkpoints.at(stop))
    assert [*begun, *rows(second.fit())] == straight


def test_the_best_checkpoint_is_saved_where_it_is_best_and_kept(tmp_path):
    trainer = watched(tmp_path, steps=12, keep=2, keep_best="held_out_loss", checkpoint_every=5)
    script(trainer, 3.0, 1.0, 2.0, 2.5, 3.0, 4.0)
    saved_at_once(trainer)
    steps = [event.step for event in trainer.fit() if isinstance(event, Saved)]
    assert steps == [2, 4, 5, 10, 12]
    assert trainer.checkpoints.steps() == [4, 10, 12]
    assert trainer.checkpoints.find_best("held_out_loss") == 4
    assert trainer.checkpoints.at(4).metrics["held_out_loss"] == 1.0


def test_a_training_ends_when_the_held_out_loss_has_not_improved_for_as_long_as_asked(tmp_path):
    changes = {"steps": 40, "keep": 2, "stop_when": "held_out_worse"}
    trainer = watched(tmp_path, evaluation={"patience": 3}, **changes)
    script(trainer, 3.0, 1.0, 2.0, 0.5, 2.0, 0.7, 0.6, 9.0)
    events = list(trainer.fit())
    assert events[-1] == StoppedEarly(14, since=8)
    assert trainer.checkpoints.steps()[0] == 8
    assert trainer.checkpoints.steps()[-1] == 14, "training could continue from there"
    again = watched(tmp_path, evaluation={"patience": 3}, **changes)
    again.load(again.checkpoints.at(14))
    assert list(again.fit()) == [StoppedEarly(14, since=8)], "it does not train on by itself"
    longer = watched(tmp_path, evaluation={"patience": 4}, **changes)
    longer.load(longer.checkpoints.at(14))
    script(longer, 0.8)
    assert list(longer.fit())[-1] == StoppedEarly(16, since=8)


def test_a_stopped_count_of_evaluations_goes_on_after_a_resume(tmp_path):
    changes = {"steps": 40, "stop_when": "held_out_worse"}
    first = watched(tmp_path, evaluation={"patience": 3}, **changes)
    script(first, 1.0, 2.0, 2.0)
    assert list(first.fit(lambda: stop_at(first, 6)))[-1] == Stopped(6, Request.TERMINATE)
    second = watched(tmp_path, evaluation={"patience": 3}, **changes)
    second.load(second.checkpoints.at(6))
    script(second, 2.0)
    assert list(second.fit())[-1] == StoppedEarly(8, since=2)


def test_without_the_setting_a_worse_loss_ends_nothing_and_is_reported(tmp_path):
    trainer = watched(tmp_path, steps=12)
    script(trainer, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, training=iter([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]))
    events = list(trainer.fit())
    assert trainer.step == 12
    assert [event.step for event in events if isinstance(event, LossGap)] == [8]
    assert not any(isinstance(event, StoppedEarly) for event in events)


def test_generated_images_are_evaluated_where_due_and_the_best_checkpoint_is_kept(tmp_path):
    called, values = [], iter([0.3, 0.8, 0.5])

    def evaluate(ema, step):
        called.append((ema, step))
        return {"coverage": next(values)}

    trainer = watched(tmp_path, steps=7, evaluation={"loss_every": 0, "every": 3},
                      evaluate=evaluate, keep_best="coverage", keep=2)  # fmt: skip
    events = list(trainer.fit())
    assert called == [(trainer.state.ema.module, step) for step in (3, 6, 7)]
    assert [e.values for e in events if isinstance(e, Evaluated)] == [
        {"coverage": value} for value in (0.3, 0.8, 0.5)
    ]
    assert trainer.checkpoints.find_best("coverage") == 6


def test_a_requested_stop_does_not_wait_for_generated_images(tmp_path):
    trainer = watched(tmp_path, evaluation={"every": 2}, evaluate=lambda *_: pytest.fail("called"))
    events = list(trainer.fit(lambda: stop_at(trainer, 2)))
    (found,) = [event for event in events if isinstance(event, Evaluated)]
    assert "held_out_loss" in found.values


def test_an_older_checkpoint_knows_nothing_of_later_evaluations(tmp_path):
    trainer = watched(tmp_path, steps=8, checkpoint_every=2)
    script(trainer, 3.0, 2.0, 1.0, 0.5)
    list(trainer.fit())
    assert trainer.state.history.best["held_out_loss"].value == 0.5
    trainer.load(trainer.checkpoints.at(4))
    assert trainer.state.history.best["held_out_loss"].value == 2.0


def test_a_longer_training_keeps_its_images_and_another_seed_forgets_its_losses(tmp_path):
    auto = {"evaluation": {"loss_every": "auto"}, "batch_size": 80}
    first = watched(tmp_path, steps=100, **auto)
    assert first.evaluations.plan.images == 8
    first.train_step.update(0)
    first.state.step = 4
    first.state.history.add(4, {"held_out_loss": 1.0, "training_loss": 1.0})
    first.save()
    first.writer.wait()
    longer = watched(tmp_path, steps=9999, **auto)
    assert longer.evaluations.plan.images == 12
    longer.load(longer.checkpoints.at(4))
    assert longer.evaluations.plan.images == 8
    assert longer.state.history.best
    other = watched(tmp_path, evaluation={"loss_every": 2}, loss=make_loss(seed=1))
    other.load(other.checkpoints.at(4))
    assert not other.state.history.best


def test_nothing_is_due_without_images_and_without_an_evaluator():
    nothing = Evaluations(EvaluationSettings(every=1), total_steps=9, batch_size=9)
    assert not any(nothing.is_due(step) for step in range(1, 10))


def test_the_loss_is_that_of_the_whole_network_without_dropout(tmp_path):
    trainer = watched(tmp_path, dropout=0.5)
    ema = trainer.state.ema.module
    with torch.no_grad():
        ema.backbone.conv_out.weight.fill_(0.1)  # it is 0 at first, and hides everything before it
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(trainer.evaluations.run(ema, 2, batch_size=8))
    assert found[0] == found[1] != {}
