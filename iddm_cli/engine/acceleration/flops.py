"""How much of the device training uses: floating-point operations a second, and their peak.

Model FLOP utilization (Chowdhery et al. 2022, arXiv:2204.02311, appendix B): operations that the
network needs, by those that the device could make. What `training.recompute` repeats, the
optimizer and the data are not counted as needed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.monitoring.loss_plan import TRAINING_PASSES


@dataclass(frozen=True)
class PeakRow:
    """The peak of a GPU.

    Attributes:
        name: Pattern of its whole name, as PyTorch reports it.
        half: TFLOP/s in bf16 and fp16, dense, with sums in fp32.
        tf32: TFLOP/s in TF32, dense; None: it has none.
        has_bf16: Whether it computes bf16.
    """

    name: str
    half: float
    tf32: float | None
    has_bf16: bool = True


PEAKS = (
    PeakRow(r"NVIDIA H200", 989.5, 494.7),
    PeakRow(r"NVIDIA H100 80GB HBM3", 989.5, 494.7),
    PeakRow(r"NVIDIA H100 PCIe", 756.0, 378.0),
    PeakRow(r"NVIDIA A100[- ].*", 312.0, 156.0),
    PeakRow(r"NVIDIA L40S", 362.0, 183.0),
    PeakRow(r"NVIDIA L4", 121.0, 60.0),
    PeakRow(r"NVIDIA A10", 125.0, 62.5),
    PeakRow(r"Tesla V100-SXM2-.*", 125.0, None, has_bf16=False),
    PeakRow(r"Tesla V100-PCIE-.*", 112.0, None, has_bf16=False),
    PeakRow(r"(Tesla|NVIDIA) T4", 65.0, None, has_bf16=False),
    PeakRow(r"NVIDIA GeForce RTX 3090", 71.0, 35.6),
    PeakRow(r"NVIDIA GeForce RTX 4090", 165.2, 82.6),
    PeakRow(r"NVIDIA GeForce RTX 5090", 209.5, 104.8),
)
"""Peaks from NVIDIA's data sheets and architecture papers: without sparsity, at boost clock."""


def find_peak(device_name: str, precision: str, tf32: str) -> float | None:
    """Return the peak of a GPU in FLOP/s; None where it is not known.

    Args:
        device_name: Name as PyTorch reports it, such as NVIDIA A100-SXM4-80GB.
        precision: fp32, bf16 or fp16.
        tf32: runtime.tf32. fp32 without TF32 does not use the units that the peaks are of.
    """
    is_part = re.search(r"\bMIG\b", device_name)
    found = (row for row in PEAKS if re.fullmatch(row.name, device_name) and not is_part)
    row = next(found, None)
    if row is None or (precision == "bf16" and not row.has_bf16):
        return None
    peak = row.half
    if precision == "fp32":
        if tf32 == "none" or row.tf32 is None:
            return None
        peak = row.tf32
    return 1e12 * peak


class FlopCounter(TorchFunctionMode):
    """Counts the operations of the products that are computed inside it.

    torch.utils.flop_counter does so as well, but does not know the CPU's attention, and imports
    torch's compiler, which takes as long as importing torch.

    Attributes:
        flops: Floating-point operations, two for each pair of numbers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Return what a function of torch returns; count its operations if it is a product."""
        out = func(*args, **(kwargs or {}))
        if func in PAIRS:
            self.flops += 2 * PAIRS[func](out, *args)
        return out


def _pairs_of_attention(out: Tensor, query: Tensor, key: Tensor, *_: object) -> int:
    return key.shape[-2] * (query.numel() + out.numel())


def _pairs_of_matmul(out: Tensor, left: Tensor, *_: object) -> int:
    return out.numel() * left.shape[-1]


PAIRS: dict[Callable[..., Tensor], Callable[..., int]] = {
    functional.conv2d: lambda out, _, weight, *__: out.numel() * weight[0].numel(),
    functional.linear: _pairs_of_matmul,
    functional.scaled_dot_product_attention: _pairs_of_attention,
    torch.matmul: _pairs_of_matmul,
    torch.mm: _pairs_of_matmul,
    torch.bmm: _pairs_of_matmul,
    Tensor.matmul: _pairs_of_matmul,
    Tensor.__matmul__: _pairs_of_matmul,
}
"""How many pairs of numbers a product multiplies, from its result and its arguments."""


@torch.no_grad()
def count_training_flops(denoiser: Denoiser, shape: tuple[int, int, int]) -> int:
    """Return the floating-point operations of training on one image.

    Products of matrices and convolutions are counted, as one image is denoised.

    Args:
        denoiser: The denoiser, not compiled; if it is sharded, every process must call this.
        shape: Channels, height and width of what the network reads.
    """
    device = denoiser.schedule.alpha.device
    x = torch.zeros(1, *shape, device=device)
    one = torch.zeros(1, dtype=torch.int64, device=device)
    was_training = denoiser.training
    denoiser.eval()  # dropout would take random numbers
    with FlopCounter() as counter:
        denoiser(x, one, one)
    denoiser.train(was_training)
    return TRAINING_PASSES * counter.flops


class Utilization:
    """Turns images a second into operations a second, and into a share of the peak.

    Args:
        flops_per_image: Floating-point operations of training on one image.
        peak: FLOP/s that all devices could make together; None where that is not known.
    """

    def __init__(self, flops_per_image: int, peak: float | None = None) -> None:
        self.flops_per_image = flops_per_image
        self.peak = peak

    def measure(self, images_per_second: float) -> dict[str, float]:
        """Return `tflops`, and `mfu` where the peak is known, as metrics.jsonl has them."""
        flops = self.flops_per_image * images_per_second
        return {"tflops": flops / 1e12} | ({"mfu": flops / self.peak} if self.peak else {})
