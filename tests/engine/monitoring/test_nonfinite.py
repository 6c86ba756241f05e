"""The guard: what is not finite changes nothing, is counted, and never reaches a file."""

import math

import pytest
import torch

from iddm_cli.checkpoints.events import Saved, SaveFailed
from iddm_cli.engine.events import Logged, RolledBack
from iddm_cli.engine.optimization.learning_rate import lr_at
from iddm_cli.errors import NonFiniteError
from tests.engine.test_trainer import bits, make, saved_at_once


def spoil(trainer, *steps: int, by=math.nan) -> None:
    """Let one element of one gradient be no finite number, in these updates."""
    weight = list(trainer.train_step.denoiser.parameters())[5]

    def hook(grad):
        grad = grad.clone()
        if spoil.step in steps:
            grad.view(-1)[1] = by
        return grad

    weight.register_hook(hook)
    update = trainer.train_step.update

    def noting(step):
        spoil.step = step
        return update(step)

    trainer.train_step.update = noting


@pytest.mark.parametrize("by", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("changes", [{}, {"optimizer": "adam"}, {"micro_batch": 3}], ids=str)
def test_a_skipped_update_changes_no_bit(tmp_path, by, changes):
    trainer = make(tmp_path, **changes)
    spoil(trainer, 1, by=by)
    trainer.train_step.update(0)
    before = bits(trainer)
    loss, *_ = trainer.train_step.update(1)
    assert bits(trainer) == before
    assert math.isnan(loss)
    assert trainer.state.guard.read().total == 1
    trainer.train_step.update(2)
    assert bits(trainer) != before
    assert trainer.state.guard.read().streak == 0


def test_without_a_fused_kernel_too(tmp_path):
    trainer = make(tmp_path)
    trainer.state.optimizer = torch.optim.AdamW(
        trainer.train_step.denoiser.parameters(), lr=1e-2, fused=False
    )
    trainer.state.optimizer = trainer.state.optimizer
    spoil(trainer, 1)
    trainer.train_step.update(0)
    before = bits(trainer)
    trainer.train_step.update(1)
    assert bits(trainer) == before
    trainer.train_step.update(2)
    assert bits(trainer) != before


def test_a_loss_that_is_not_finite_is_enough(tmp_path):
    trainer = make(tmp_path)
    trainer.train_step.update(0)
    before = bits(trainer)
    losses = trainer.train_step.losses
    trainer.train_step.losses = lambda step, slots: losses(step, slots) + torch.tensor(math.inf)
    trainer.train_step.update(1)
    assert bits(trainer) == before


def test_a_run_goes_on_as_if_the_bad_update_had_been_left_out(tmp_path):
    trainer, other = make(tmp_path / "a"), make(tmp_path / "b")
    spoil(trainer, 2)
    for step in range(4):
        trainer.train_step.update(step)
        if step != 2:
            other.train_step.update(step)
    assert bits(trainer) == bits(other)


def test_skipped_updates_are_told_and_leave_the_mean_alone(tmp_path):
    trainer = make(tmp_path, steps=6, log_every=3, checkpoint_every=99, sample_every=0)
    spoil(trainer, 1, 3, 4, 5)
    first, second = [event for event in trainer.fit() if isinstance(event, Logged)]
    assert (first.skipped, second.skipped) == (1, 4)
    assert math.isfinite(first.loss)
    assert math.isfinite(first.grad_norm)
    assert math.isnan(second.loss)


@pytest.mark.parametrize("log_every", [1, 2, 100])
def test_a_streak_goes_back_once_and_learns_more_slowly(tmp_path, log_every):
    trainer = make(
        tmp_path, steps=20, checkpoint_every=4, log_every=log_every, max_skipped=3, sample_every=0
    )
    planted = {"steps": (5, 6, 7)}
    spoil(trainer, *planted["steps"])
    events = []
    for event in trainer.fit():
        events.append(event)
        if isinstance(event, RolledBack):
            trainer.train_step.denoiser.backbone.zero_grad()
            spoil.step = -1
            for hooks in [p._backward_hooks for p in trainer.train_step.denoiser.parameters()]:
                if hooks:
                    hooks.clear()
    back = [event for event in events if isinstance(event, RolledBack)]
    assert [(event.step, event.lr) for event in back] == [(4, pytest.approx(1e-2 / 3))]
    assert trainer.step == 20
    assert trainer.state.lr_scale == pytest.approx(1 / 3)
    assert trainer.state.guard.read().total == 3
    last = [event for event in events if isinstance(event, Logged)][-1]
    assert last.lr == pytest.approx(lr_at(trainer.settings, 19, 20) / 3)
    saved = trainer.checkpoints.latest_valid()[0]
    assert (saved.step, saved.trainer_state["rate"]) == (20, pytest.approx(1 / 3))
    again = make(tmp_path, steps=20, max_skipped=3)
    again.load(saved)
    assert again.state.lr_scale == trainer.state.lr_scale


def test_two_bad_updates_are_no_streak_of_three(tmp_path):
    trainer = make(tmp_path, steps=9, max_skipped=3)
    spoil(trainer, 2, 3, 5, 6)
    assert not [event for event in trainer.fit() if isinstance(event, RolledBack)]
    assert trainer.state.guard.read().total == 4


def test_a_streak_that_is_over_when_it_is_read_still_counts(tmp_path):
    trainer = make(tmp_path, steps=8, max_skipped=3, log_every=100, checkpoint_every=8)
    spoil(trainer, 2, 3, 4)
    with pytest.raises(NonFiniteError, match="first was step 3"):
        list(trainer.fit())


def test_it_never_goes_back_to_a_checkpoint_of_the_streak_itself(tmp_path):
    trainer = make(tmp_path, steps=9, checkpoint_every=1, max_skipped=3)
    spoil(trainer, 4, 5, 6)
    back = next(event for event in trainer.fit() if isinstance(event, RolledBack))
    assert back.step == 4
    assert [path.name for path in trainer.checkpoints.paths()][-1] == "step-00000004"


@pytest.mark.parametrize("bad", ["gradient", "picture"])
def test_the_second_time_ends_with_a_diagnosis(tmp_path, bad):
    limit = 3 if bad == "gradient" else 1
    trainer = make(tmp_path, steps=20, checkpoint_every=1, max_skipped=limit)
    if bad == "gradient":
        spoil(trainer, *range(4, 20))
    else:
        read = trainer.train_step.batches.load_batch

        def at(step, slots):
            x, label = read(step, slots)
            x[trainer.train_step.batches.indices(step, slots) == 7] = math.nan
            return x, label

        trainer.train_step.batches.load_batch = at
    with pytest.raises(NonFiniteError) as stopped:
        list(trainer.fit())
    assert stopped.value.exit_code == 5
    assert trainer.state.guard.read().streak == limit
    first = trainer.state.guard.read().first
    assert f"first was step {first + 1}" in stopped.value.problem
    assert "largest gradient" in stopped.value.problem
    name = [name for name, _ in trainer.train_step.denoiser.backbone.named_parameters()][5]
    if bad == "gradient":
        assert f"of {name}, with a norm of nan" in stopped.value.problem
        assert "finite losses of all its 8 images" in stopped.value.problem
    else:
        assert "for 1 of its 8 images (number 7 in the dataset" in stopped.value.problem
    assert all(p.grad is None for p in trainer.train_step.denoiser.parameters())


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path):
    trainer = make(tmp_path, steps=9, checkpoint_every=100, max_skipped=2)
    spoil(trainer, 2, 3)
    with pytest.raises(NonFiniteError):
        list(trainer.fit())


@pytest.mark.parametrize("part", ["weights", "average"])
def test_weights_that_are_not_finite_never_reach_a_file(tmp_path, part):
    trainer = make(tmp_path, steps=6, checkpoint_every=2, max_skipped=20)
    saved_at_once(trainer)
    module = trainer.train_step.denoiser if part == "weights" else trainer.state.ema.module
    events = []
    with pytest.raises(NonFiniteError):
        for event in trainer.fit():
            events.append(event)
            if isinstance(event, Saved) and event.step == 2:
                next(module.parameters()).data[0] = math.nan
    assert any(isinstance(event, SaveFailed) and event.step == 4 for event in events)
    assert [path.name for path in trainer.checkpoints.paths()] == ["step-00000002"]


def test_weights_that_were_spoilt_once_are_healed_by_going_back(tmp_path):
    trainer = make(tmp_path, steps=12, checkpoint_every=2, max_skipped=3)
    spoilt = False
    for event in trainer.fit():
        if isinstance(event, Saved) and event.step == 4 and not spoilt:
            spoilt = True
            next(trainer.train_step.denoiser.parameters()).data[0] = math.nan
    assert trainer.step == 12
    saved = trainer.checkpoints.latest_valid()[0]
    assert saved.step == 12
    assert all(
        t.isfinite().all() for part in ("model", "average") for t in saved.read(part).values()
    )
