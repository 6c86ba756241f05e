"""Training on a GPU: no step waits for it, and every choice trains to the same to rounding."""

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.data.loader.batch_loader import BatchLoader
from iddm_cli.data.loader.stores import MemoryStore
from iddm_cli.engine import randomness
from iddm_cli.engine.acceleration.flops import find_peak
from iddm_cli.engine.device import autocast, setup_tf32
from iddm_cli.engine.train_step import TrainStep
from tests.build.profiles import tiny_profile

GPU = torch.device("cuda", 0)
PIXELS = torch.arange(40 * 3 * 16 * 16, dtype=torch.int64).view(40, 3, 16, 16) * 37 % 251


def make_step(device=GPU, *, precision="bf16", cache="device", compiling="none", **changes):
    """Return the train step of a tiny network."""
    training = {"steps": 50, "epochs": None, "batch_size": 8, **changes}
    profile = tiny_profile(training=training)
    pixels = PIXELS.to(torch.uint8)
    batches = BatchLoader(
        MemoryStore(pixels.to(device) if cache == "device" else pixels),
        torch.arange(40) % 2,
        batch_size=8,
        order=lambda epoch: randomness.permutation(0, "order", step=epoch, count=40),
        device=device,
    )
    return TrainStep(
        build_denoiser(profile, 2).to(device),
        batches,
        profile.training,
        times="stratified",
        precision=precision,
        num_classes=2,
        numerics={},
        compiling=compiling,
    )


def losses(train_step: TrainStep, steps: int = 5) -> torch.Tensor:
    return torch.stack([train_step.update(step).loss for step in range(steps)]).cpu()


@pytest.mark.parametrize("cache", ["device", "memory"])
@pytest.mark.parametrize("changes", [{}, {"micro_batch": 3}, {"recompute": "blocks"}], ids=str)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(no_waiting, precision, changes, cache):
    torch.cuda.set_sync_debug_mode("default")
    train_step = make_step(precision=precision, cache=cache, **changes)
    losses(train_step, 3)
    torch.cuda.set_sync_debug_mode("error")
    updates = [train_step.update(step) for step in range(3, 6)]
    torch.cuda.set_sync_debug_mode("default")
    assert all(update.loss.isfinite() for update in updates)


def test_a_gpu_trains_like_the_cpu_in_fp32():
    setup_tf32("none")
    found = losses(make_step(precision="fp32"))
    wanted = losses(make_step(torch.device("cpu"), precision="fp32"))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=0)


@pytest.mark.parametrize("setting", ["convolutions", "all"])
def test_tf32_trains_to_the_same_to_rounding(setting):
    setup_tf32("none")
    wanted = losses(make_step(precision="fp32"))
    setup_tf32(setting)
    torch.testing.assert_close(losses(make_step(precision="fp32")), wanted, rtol=1e-2, atol=0)
    setup_tf32("convolutions")


@pytest.mark.parametrize("changes", [{}, {"recompute": "blocks"}], ids=str)
def test_compiled_blocks_train_to_the_same_to_rounding(tmp_path, monkeypatch, changes):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    train_step = make_step(compiling="blocks", **changes)
    found = losses(train_step)
    assert train_step.numerics["compile"] == "blocks"
    torch.testing.assert_close(found, losses(make_step(**changes)), rtol=5e-2, atol=0)


def test_recomputing_takes_less_memory():
    def measure_peak(recompute: str) -> int:
        train_step = make_step(recompute=recompute)
        train_step.update(0)
        torch.cuda.reset_peak_memory_stats()
        with autocast(GPU, "bf16"):
            train_step.update(1)
        return torch.cuda.max_memory_allocated()

    assert measure_peak("blocks") < measure_peak("none")


def test_the_name_of_the_gpu_has_the_form_of_the_table():
    name = torch.cuda.get_device_name(GPU)
    known = find_peak(name, "fp16", "all")
    assert known is None or 1e13 < known < 1e16
