"""Device and memory: what a machine lacks is told, and the estimate adds up."""

import pytest
import torch

from iddm_cli.engine import device
from iddm_cli.engine.memory import estimate_memory
from iddm_cli.errors import UsageError
from tests.engine.test_parts import build_denoiser


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_what_the_machine_lacks_is_a_usage_error_that_says_what_to_do(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=f"--device {name}") as refused:
        device.choose_device(name)
    assert refused.value.exit_code == 2
    assert "--device auto" in refused.value.hint
    assert device.choose_device("auto") == torch.device("cpu")


@pytest.mark.parametrize(("capability", "wanted"), [((7, 5), "fp32"), ((8, 0), "bf16")])
def test_a_gpu_takes_bf16_from_ampere_on(monkeypatch, capability, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert device.choose_precision("auto", torch.device("cuda", 0)) == wanted
    assert device.choose_precision("fp16", torch.device("cuda", 0)) == "fp16"


def test_what_decides_the_bits_is_written_down():
    bits = device.numerics(torch.device("cpu"), "bf16")
    assert bits == {
        "torch": torch.__version__, "device": "cpu", "threads": torch.get_num_threads(),
        "precision": "bf16", "world_size": 1,
    }  # fmt: skip


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
    assert on_cpu.saving == 4 * 8 * parameters


def test_weights_do_not_count_as_activations():
    # One pixel becomes 62,500 numbers, 250 kB, which are kept; the weights are twice as many.
    denoiser = build_denoiser()
    denoiser.backbone = Wide()
    estimate = estimate_memory(
        denoiser, shape=(1, 1, 1), micro_batch=1, precision="fp32", data=0, on_cpu=False
    )
    assert estimate.state == 20 * 2 * 62_500
    assert 250_000 <= estimate.activations < 400_000


class Wide(torch.nn.Module):
    """A big layer for a small picture."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Conv2d(1, 62_500, 1, bias=False)
        self.back = torch.nn.Conv2d(62_500, 1, 1, bias=False)

    def forward(self, x_t, t, label):
        return self.back(self.out(x_t))
