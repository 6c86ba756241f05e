"""Memory: an estimate before training starts, and micro-batches where it runs out.

A batch may be computed in any number of parts, since noise, times and labels belong to the slot:
only the last bits of the sum depend on it. So an update that did not fit is repeated in smaller
parts.
"""

import gc
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.acceleration.recompute import KeptTensors
from iddm_cli.engine.device import autocast

FLOAT_BYTES = 4

TRAINING_COPIES = 5
"""Numbers that training holds per parameter: weight, gradient, EMA, two optimizer moments."""

CHECKPOINT_COPIES = 4
"""Numbers that a checkpoint holds per parameter: weight, EMA, two optimizer moments."""

TEMPORARIES = 1.3
"""Peak memory of a step, relative to what it keeps for its backward pass; measured as the growth of
a CPU run's resident memory with its batch (1.28 for the demo profile, batch 64 to 256, fp32)."""

SAVING_COPIES = 8
"""Numbers held per parameter while a checkpoint is written: copies of the weight, the EMA and two
moments; the moments once more, reordered, and as the bytes of their file."""

PROGRAM = 930 * 2**20
"""Bytes that Python and PyTorch hold: measured on a CPU run of batch size 1, less its network."""


def training_bytes(parameters: int) -> int:
    """Return the bytes that training holds for its parameters, activations left out."""
    return parameters * FLOAT_BYTES * TRAINING_COPIES


def checkpoint_bytes(parameters: int) -> int:
    """Return the bytes of a checkpoint of so many parameters."""
    return parameters * FLOAT_BYTES * CHECKPOINT_COPIES


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Attributes:
        parameters: Number of trained parameters.
        state: Weights, gradients, EMA and the optimizer's two moments.
        activations: What the backward pass of one micro-batch needs.
        saving: Copies of what a checkpoint holds, while it is written, where they share the
            device's memory.
        data: The images, where they are kept on the device.
        program: Python and PyTorch themselves, where they share the device's memory.
        micro_batch: Images computed at once.
    """

    parameters: int
    state: int
    activations: int
    saving: int
    data: int
    program: int
    micro_batch: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.state + self.activations + self.saving + self.data + self.program


def estimate_memory(
    denoiser: Denoiser,
    *,
    shape: tuple[int, int, int],
    micro_batch: int,
    precision: str,
    data: int,
    on_cpu: bool,
    recompute: bool = False,
) -> MemoryEstimate:
    """Estimate the memory of a training from what one image's loss keeps for its backward pass.

    Args:
        denoiser: The denoiser, on the CPU.
        shape: Channels, height and width of an image.
        micro_batch: Images computed at once.
        precision: fp32, bf16 or fp16.
        data: Bytes of images held on the device.
        on_cpu: Whether training runs on the CPU.
        recompute: Whether blocks compute their activations again in the backward pass.
    """
    parameters = sum(p.numel() for p in denoiser.parameters())
    kept = _kept_for_backward(denoiser, shape, precision, recompute=recompute)
    return MemoryEstimate(
        parameters=parameters,
        state=training_bytes(parameters),
        activations=micro_batch * round(TEMPORARIES * kept),
        saving=parameters * FLOAT_BYTES * SAVING_COPIES if on_cpu else 0,
        data=data,
        program=PROGRAM if on_cpu else 0,
        micro_batch=micro_batch,
    )


def _kept_for_backward(
    denoiser: Denoiser, shape: tuple[int, int, int], precision: str, *, recompute: bool
) -> int:
    x = torch.zeros(1, *shape)
    one = torch.zeros(1, dtype=torch.int64)
    with (
        KeptTensors(denoiser.backbone, recompute=recompute) as kept,
        autocast(x.device, precision),
    ):
        loss = denoiser.loss(x, one, torch.zeros_like(x), one)
    del loss
    return kept.bytes


class MicroBatch:
    """The number of images that this process computes at once.

    Args:
        requested: training.micro_batch of the profile; None: the whole share.
        share: Number of this process's slots in a batch.

    Attributes:
        size: The present micro-batch size.
    """

    def __init__(self, requested: int | str | None, share: int) -> None:
        self.requested = requested
        self.share = share
        self.size = min(requested, share) if isinstance(requested, int) else share

    def split(self, slots: Tensor) -> tuple[Tensor, ...]:
        """Return the slots in parts of at most `size`, [B] each."""
        return slots.split(self.size)

    def halve(self) -> bool:
        """Halve the size; return False where it is 1 already."""
        if self.size == 1:
            return False
        self.size = (self.size + 1) // 2
        return True

    def state_dict(self) -> dict[str, object]:
        """Return the size and what it was found for, so that a resume computes the same bits."""
        return {"asked": self.requested, "share": self.share, "size": self.size}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore a size that was found before, unless the profile or the share has changed."""
        size = state.get("size")
        same = state.get("asked") == self.requested and state.get("share") == self.share
        if same and isinstance(size, int) and 1 <= size <= self.size:
            self.size = size


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator has no error type of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def release_memory(device: torch.device) -> None:
    """Release the memory of an update that was aborted."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
