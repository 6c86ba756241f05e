"""Utilization: operations counted against closed forms, and peaks of the right GPU."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.schedules import cosine_schedule
from iddm_cli.engine.acceleration.flops import (
    PEAKS,
    Utilization,
    count_training_flops,
    find_peak,
)
from tests.engine.acceleration.test_recompute import build

SHAPES = {"unet": (1, 8, 8), "iddm-unet": (1, 16, 8), "dit": (1, 8, 8)}


class Two(torch.nn.Module):
    """A convolution, a product and attention whose operations are counted by hand."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.mix = torch.nn.Linear(3, 3)

    def forward(self, x_t, t, label):
        tokens = self.mix(self.conv(x_t).flatten(2).transpose(1, 2))
        seen = functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return seen.transpose(1, 2).reshape(x_t.shape)


def around(backbone: torch.nn.Module) -> Denoiser:
    return Denoiser(backbone, cosine_schedule(10), prediction="v")


def test_products_are_counted_by_hand():
    pixels = 8 * 6
    forward = 2 * (pixels * (3 * 3 * 9 + 3 * 3) + 2 * pixels**2 * 3)
    assert count_training_flops(around(Two()), (3, 8, 6)) == 3 * forward


@pytest.mark.parametrize("name", SHAPES)
def test_three_forward_passes_are_a_forward_and_a_backward_pass(name):
    """torch's own counter, on the meta device, where it knows attention, says so as well."""
    counted = count_training_flops(around(build(name)), SHAPES[name])
    denoiser = around(build(name)).to("meta")
    x = torch.zeros(1, *SHAPES[name], device="meta")
    one = torch.zeros(1, dtype=torch.int64, device="meta")
    with FlopCounterMode(display=False) as counter:
        denoiser.loss(x, one, x, one).sum().backward()
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_counting_changes_nothing():
    denoiser = around(build("unet")).train()
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    count_training_flops(denoiser, SHAPES["unet"])
    assert torch.equal(torch.rand(2), wanted)
    assert denoiser.training
    assert denoiser.backbone.middle.before.dropout.training


@pytest.mark.parametrize(
    ("name", "precision", "tf32", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16", "all", 312),
        ("NVIDIA A100 80GB PCIe", "fp32", "all", 156),
        ("NVIDIA A100-PCIE-40GB", "fp32", "convolutions", 156),
        ("NVIDIA A100-SXM4-80GB", "fp32", "none", None),
        ("NVIDIA H100 80GB HBM3", "bf16", "all", 989.5),
        ("NVIDIA H100 PCIe", "fp16", "all", 756),
        ("NVIDIA H200", "bf16", "none", 989.5),
        ("NVIDIA L4", "bf16", "all", 121),
        ("NVIDIA L40S", "bf16", "all", 362),
        ("NVIDIA A10", "bf16", "all", 125),
        ("Tesla V100-SXM2-16GB", "fp16", "all", 125),
        ("Tesla V100-SXM2-16GB", "bf16", "all", None),
        ("Tesla T4", "fp32", "all", None),
        ("NVIDIA GeForce RTX 4090", "bf16", "all", 165.2),
        # Others, or parts of one, which are slower.
        ("NVIDIA A10G", "bf16", "all", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", "all", None),
        ("NVIDIA GeForce RTX 4090 D", "bf16", "all", None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "bf16", "all", None),
        ("AMD Instinct MI300X", "bf16", "all", None),
    ],
)
def test_the_peak_is_that_of_this_gpu(name, precision, tf32, tera):
    found = find_peak(name, precision, tf32)
    assert found == (None if tera is None else pytest.approx(tera * 1e12))


def test_tf32_has_half_the_peak_of_bf16_at_most():
    assert all(row.tf32 is None or row.tf32 <= 0.51 * row.half for row in PEAKS)
    assert all(row.has_bf16 == (row.tf32 is not None) for row in PEAKS)


def test_operations_a_second_are_shared_by_the_peak():
    used = Utilization(4 * 10**9, peak=80e12)
    assert used.measure(5000) == {"tflops": pytest.approx(20), "mfu": pytest.approx(0.25)}
    assert used.measure(2500)["mfu"] == pytest.approx(0.125)
    assert Utilization(10**9).measure(7) == {"tflops": pytest.approx(0.007)}
