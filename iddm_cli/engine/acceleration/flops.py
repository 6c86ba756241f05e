"""How much of the device training uses: floating-point operations a second, and their peak.

Model FLOP utilization (Chowdhery et al. 2022, arXiv:2204.02311, appendix B): operations that the
network needs, by those that the device could make. What `training.recompute` repeats, the
optimizer and the data are not counted as needed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

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


def count_training_flops(denoiser: Denoiser, shape: tuple[int, int, int]) -> int:
    """Return the floating-point operations of training on one image.

    Products of matrices and convolutions are counted, two operations for each pair of numbers.

    Args:
        denoiser: The denoiser, on the meta device: nothing is computed.
        shape: Channels, height and width of an image.
    """
    from torch.utils.flop_counter import FlopCounterMode  # 0.1 s, which start-up need not take

    x = torch.zeros(1, *shape, device="meta")
    one = torch.zeros(1, dtype=torch.int64, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        denoiser.loss(x, one, x, one)
    return TRAINING_PASSES * counter.get_total_flops()


class Utilization:
    """Turns images a second into operations a second, and into a share of the peak.

    Args:
        count_flops: Returns the operations of training on one image; called once, when needed.
        peak: FLOP/s that all devices could make together; None where that is not known.
    """

    def __init__(self, count_flops: Callable[[], int], peak: float | None = None) -> None:
        self._count_flops = count_flops
        self.peak = peak

    @cached_property
    def flops_per_image(self) -> int:
        """Floating-point operations of training on one image."""
        return self._count_flops()

    def measure(self, images_per_second: float) -> dict[str, float]:
        """Return `tflops`, and `mfu` where the peak is known, as metrics.jsonl has them."""
        flops = self.flops_per_image * images_per_second
        return {"tflops": flops / 1e12} | ({"mfu": flops / self.peak} if self.peak else {})
