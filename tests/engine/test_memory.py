"""Memory that runs out: the batch is computed in smaller parts, and its result is the same."""

import pytest
import torch

from iddm_cli.engine.events import MicroBatchReduced
from iddm_cli.errors import IddmError
from tests.engine.test_trainer import bits, make, run


def fits(trainer, most: int, error=torch.OutOfMemoryError) -> None:
    """Let more pictures than that exceed the memory."""
    losses = trainer.train_step.losses

    def limited(step, slots, *denoiser):
        if len(slots) > most:
            raise error("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return losses(step, slots, *denoiser)

    trainer.train_step.losses = limited


@pytest.mark.parametrize(("most", "size"), [(7, 4), (4, 4), (3, 2), (1, 1)])
def test_the_update_is_made_again_in_halves(tmp_path, most, size):
    free, tight = make(tmp_path / "a"), make(tmp_path / "b")
    fits(tight, most)
    for step in range(3):
        wanted, found = free.train_step.update(step), tight.train_step.update(step)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)
    assert tight.state.micro_batch.size == size
    assert tight.train_step.numerics["micro_batch"] == size


def test_it_is_told_once(tmp_path):
    trainer = make(tmp_path)
    fits(trainer, 3)
    assert [event for event in trainer.fit() if isinstance(event, MicroBatchReduced)] == [
        MicroBatchReduced(1, 2)
    ]


def test_after_a_resume_the_size_that_fitted_is_taken_at_once(tmp_path):
    straight, first = make(tmp_path / "a"), make(tmp_path / "b")
    fits(straight, 3), fits(first, 3)
    run(straight)
    for step in range(2):
        first.train_step.update(step)
        first.state.step += 1
    first.save()
    first.writer.wait()
    second = make(tmp_path / "b")
    second.load(second.checkpoints.latest_valid()[0])
    assert second.state.micro_batch.size == 2
    run(second)
    assert bits(second) == bits(straight)


def test_a_size_asked_for_afterwards_is_taken_instead(tmp_path):
    first = make(tmp_path)
    fits(first, 3)
    run(first)
    second = make(tmp_path, micro_batch=4)
    second.load(second.checkpoints.latest_valid()[0])
    assert second.state.micro_batch.size == 4


def test_where_not_even_one_fits_that_is_the_error(tmp_path):
    trainer = make(tmp_path)
    fits(trainer, 0)
    with pytest.raises(IddmError, match="not even one image") as refused:
        list(trainer.fit())
    assert "base_channels" in refused.value.hint
    with pytest.raises(IddmError, match="not even one image"):
        trainer.train_step.probe_memory(0)


def test_other_errors_are_not_taken_for_it(tmp_path):
    trainer = make(tmp_path)
    fits(trainer, 3, error=RuntimeError)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.train_step.update(0)


def test_a_rehearsal_finds_the_size_and_changes_nothing(tmp_path):
    trainer = make(tmp_path, micro_batch="auto")
    before = bits(trainer)
    fits(trainer, 3)
    trainer.train_step.probe_memory(0)
    assert trainer.state.micro_batch.size == 2
    assert bits(trainer) == before
    assert all(p.grad is None for p in trainer.train_step.denoiser.parameters())


def test_memory_is_counted_for_the_optimizer_in_a_rehearsal(tmp_path, monkeypatch):
    trainer = make(tmp_path)
    asked = []
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *a, **k: asked.append(a) or empty(*a, **k))
    trainer.train_step.probe_memory(0)
    assert (2 * sum(p.numel() for p in trainer.train_step.denoiser.parameters()),) in asked
