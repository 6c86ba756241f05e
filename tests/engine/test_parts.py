"""The engine's smaller parts: average, optimizers, learning rates, device, memory."""

import pytest
import torch

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine import device
from iddm_cli.engine.ema import EMA, warmed_decay
from iddm_cli.engine.memory import estimate_memory
from iddm_cli.engine.optimizers import OPTIMIZERS, build_optimizer, lr_at
from iddm_cli.errors import UsageError
from iddm_cli.networks import UNet
from iddm_cli.profiles.settings import TrainingSettings


def test_the_average_is_the_recursion_by_hand():
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average = EMA(module, decay=0.5)
    mean = 0.0
    for step in range(1, 20):
        module.weight.data.fill_(float(step))
        average.update(module, step, torch.ones(()))
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * step
        assert float(average.module.weight) == pytest.approx(mean, rel=1e-5)
    assert float(module.weight.detach()) == 19, "the original is left alone"


def test_the_averages_window_is_at_most_a_tenth_of_the_run():
    decays = [warmed_decay(0.9999, step) for step in range(1, 10_000)]
    assert decays == sorted(decays)
    assert all(1 / (1 - decay) <= max(2, step / 9 + 2) for step, decay in enumerate(decays, 1))
    assert warmed_decay(0.9, 10**6) == 0.9


def test_buffers_are_copied_not_averaged():
    module = torch.nn.BatchNorm1d(1)
    average = EMA(module, decay=0.9)
    module.running_mean.fill_(7.0)
    average.update(module, 1, torch.ones(()))
    assert average.module.running_mean == 7


@pytest.mark.parametrize(
    ("settings", "total", "wanted"),
    [
        ({"lr_schedule": "constant"}, 10, {0: 1.0, 9: 1.0}),
        ({"lr_schedule": "constant", "warmup_steps": 4}, 10, {0: 0.25, 3: 1.0, 4: 1.0}),
        ({"lr_schedule": "linear"}, 10, {0: 1.0, 5: 0.5, 9: 0.1}),
        ({"lr_schedule": "linear", "lr_final": 0.2}, 10, {0: 1.0, 5: 0.6}),
        ({"lr_schedule": "cosine"}, 8, {0: 1.0, 2: 0.853553, 4: 0.5, 6: 0.146447}),
        ({"lr_schedule": "cosine", "warmup_steps": 2}, 10, {0: 0.5, 1: 1.0, 2: 1.0, 6: 0.5}),
        ({"lr_schedule": "warmup_cosine"}, 200, {0: 0.1, 9: 1.0, 10: 1.0, 105: 0.5}),
        ({"lr_schedule": "warmup_cosine", "warmup_steps": 2}, 10, {0: 0.5, 6: 0.5}),
    ],
    ids=str,
)
def test_learning_rates_are_as_computed_by_hand(settings, total, wanted):
    chosen = TrainingSettings(lr=1.0, **settings)
    assert {step: lr_at(chosen, step, total) for step in wanted} == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_their_settings(name):
    settings = TrainingSettings(optimizer=name, weight_decay=0.1, betas=[0.8, 0.9])
    optimizer = build_optimizer(torch.nn.Linear(2, 2), settings)
    group = optimizer.param_groups[0]
    assert (group["weight_decay"], tuple(group["betas"]), group["fused"]) == (0.1, (0.8, 0.9), True)


def test_a_device_that_is_not_there_is_a_usage_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="--device cuda:3") as refused:
        device.choose_device("cuda:3")
    assert refused.value.exit_code == 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose_device("cuda:1") == torch.device("cuda:1")
    assert device.choose_device("auto") == torch.device("cuda:0")
    with pytest.raises(UsageError, match="sees 2 CUDA devices"):
        device.choose_device("cuda:2")


@pytest.mark.parametrize("native", [True, False])
def test_bf16_is_taken_only_where_it_is_computed_natively(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    cpu = torch.device("cpu")
    assert device.choose_precision("auto", cpu) == ("bf16" if native else "fp32")
    assert device.choose_precision("fp32", cpu) == "fp32"


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
        assert estimate.total == estimate.state + estimate.activations + 7
        return estimate.activations

    assert activations(16, 8) == 8 * activations(16, 1)
    assert activations(32, 1) == pytest.approx(4 * activations(16, 1), rel=0.1)
    assert activations(32, 1, "bf16") < 0.8 * activations(32, 1)


def test_large_blocks_are_kept_without_harm():
    device.keep_large_blocks()
    assert torch.ones(10**6).sum() == 10**6
