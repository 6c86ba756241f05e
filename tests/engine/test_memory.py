"""Memory: the estimate adds up; where it runs out, smaller micro-batches give the same result."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import memory
from iddm_cli.engine.events import MicroBatchReduced
from iddm_cli.engine.memory import MicroBatch, estimate_memory, measure_kept
from iddm_cli.errors import IddmError
from iddm_cli.networks.unet import UNet
from tests.engine.test_trainer import bits, make, run


def fits(trainer, most: int, error=torch.OutOfMemoryError) -> None:
    """Let more images than that exceed the memory."""
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


def test_the_smaller_size_is_reported_once(tmp_path):
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


def test_a_resume_takes_the_size_that_auto_chose_if_the_machine_can_hold_it():
    state = MicroBatch("auto", 64, chosen=32, most=64).state_dict()
    for chosen, most, size in ((8, 40, 32), (64, 64, 32), (8, 16, 8)):
        resumed = MicroBatch("auto", 64, chosen=chosen, most=most)
        assert resumed.size == chosen
        resumed.load_state_dict(state)
        assert resumed.size == size
    for other in (MicroBatch("auto", 48, chosen=8, most=48), MicroBatch(16, 64)):
        size = other.size
        other.load_state_dict(state)
        assert other.size == size, "of another share, or of another setting"


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
    assert "training.recompute=blocks" in refused.value.hint
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


def build_denoiser() -> Denoiser:
    network = UNet(
        channels=1, num_classes=2, base_channels=16, channel_multipliers=[1, 2],
        blocks_per_level=1, attention_levels=[1], head_channels=8, norm_groups=4,
    )  # fmt: skip
    return Denoiser(network, cosine_schedule(10), prediction="v")


def test_memory_grows_with_the_micro_batch_and_the_area_and_halves_with_bf16():
    def activations(size: int, micro_batch: int, precision: str = "fp32") -> int:
        estimate = estimate_memory(
            build_denoiser(), shape=(1, size, size), micro_batch=micro_batch,
            precision=precision, data=7, on_cpu=False,
        )  # fmt: skip
        assert estimate.state == 20 * estimate.parameters
        assert estimate.total == estimate.state + estimate.activations + estimate.copies + 7
        return estimate.activations

    assert activations(16, 8) == 8 * activations(16, 1)
    assert activations(32, 1) == pytest.approx(4 * activations(16, 1), rel=0.1)
    assert activations(32, 1, "bf16") < 0.8 * activations(32, 1)


class Wide(torch.nn.Module):
    """A big layer for a small image."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Conv2d(1, 62_500, 1, bias=False)
        self.back = torch.nn.Conv2d(62_500, 1, 1, bias=False)

    def forward(self, x_t, t, label):
        return self.back(self.out(x_t))


def test_the_estimate_adds_up_and_is_linear_in_the_micro_batch():
    denoiser = build_denoiser()
    parameters = sum(p.numel() for p in denoiser.parameters())

    def estimate(micro_batch: int, **changes):
        given = {"shape": (1, 8, 8), "precision": "fp32", "data": 0, "on_cpu": False}
        return estimate_memory(denoiser, micro_batch=micro_batch, **(given | changes))

    one, two, nine = (estimate(n).total for n in (1, 2, 9))
    assert nine - one == 8 * (two - one)
    assert two > one
    assert estimate(1).state == 4 * 5 * parameters, "weight, gradient, average, two means"
    assert estimate(1, data=1000).total == one + 1000
    on_cpu = estimate(1, on_cpu=True)
    assert on_cpu.total - one == on_cpu.program + on_cpu.saving
    assert on_cpu.program > 2**29
    assert on_cpu.saving == 4 * 6 * parameters
    assert estimate(1, precision="bf16").copies == 2 * parameters
    assert one == estimate(1).state + estimate(1).activations


def test_what_is_kept_does_not_grow_with_the_weights_in_a_lower_precision():
    """Autocast keeps a copy of each weight, once for all images: it must not count per image."""
    kept = [measure_kept(build_denoiser(), (1, 8, 8), name) for name in ("fp32", "bf16")]
    assert kept[1] < 0.8 * kept[0]


class KeepsWhatItIsTold(torch.autograd.Function):
    """Keeps 1,000 numbers of each image."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.new_zeros(len(x), 1000))
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Recomputing(torch.nn.Module):
    """A network of one weight and one such function."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x_t, t, label):
        return KeepsWhatItIsTold.apply(self.weight * x_t)


@pytest.mark.parametrize("large", [2**60, 0], ids=["computed", "imitated"])
def test_what_custom_functions_keep_is_counted(monkeypatch, large):
    monkeypatch.setattr(memory, "LARGE", large)
    denoiser = Denoiser(Recomputing(), cosine_schedule(10), prediction="v")
    kept = measure_kept(denoiser, (1, 2, 2), "fp32")
    assert 4 * 1000 <= kept < 4 * 1100


def test_an_imitated_pass_keeps_what_a_computed_one_keeps(monkeypatch):
    shape = (1, 16, 16)
    computed = measure_kept(build_denoiser(), shape, "fp32")
    monkeypatch.setattr(memory, "LARGE", 0)
    assert measure_kept(build_denoiser(), shape, "fp32") == pytest.approx(computed, rel=0.15)


def test_weights_do_not_count_as_activations():
    # One pixel becomes 62,500 numbers, 250 kB, which are kept; the weights are twice as many.
    denoiser = build_denoiser()
    denoiser.backbone = Wide()
    estimate = estimate_memory(
        denoiser, shape=(1, 1, 1), micro_batch=1, precision="fp32", data=0, on_cpu=False
    )
    assert estimate.state == 20 * 2 * 62_500
    assert 250_000 <= estimate.activations < 400_000
