"""Memory: what a run will take, measured on one picture before the run starts."""

import gc
from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.device import autocast

FLOAT = 4

TEMPORARIES = 1.3
"""Peak of a step over what it keeps for its backward pass; measured by the growth of a CPU run's
resident memory with its batch (1.28 for the demo profile's network, batch 64 to 256, fp32)."""

COPIES = 8
"""Numbers held for each parameter while a checkpoint is written: a copy of its weight, its average
and two means, and of the latter two once more, in order, and as the bytes of their file."""

PROGRAM = 930 * 2**20
"""What Python and PyTorch hold themselves; measured on a CPU run of batch 1, less its network."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Attributes:
        parameters: Number of trained parameters.
        state: Weights, gradients, average and the optimizer's two means.
        activations: What the backward pass of one micro-batch needs.
        saving: Copies of what a checkpoint holds, while it is written, where they share the
            device's memory.
        data: The pictures, where they lie on the device.
        program: Python and PyTorch themselves, where they share the device's memory.
        micro_batch: Pictures computed at once.
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
        """All of it."""
        return self.state + self.activations + self.saving + self.data + self.program


def estimate_memory(
    denoiser: Denoiser,
    *,
    shape: tuple[int, int, int],
    micro_batch: int,
    precision: str,
    data: int,
    on_cpu: bool,
) -> MemoryEstimate:
    """Estimate a run's memory from what one picture's loss keeps for its backward pass.

    Args:
        denoiser: On the CPU.
        shape: Channels, height and width of a picture.
        micro_batch: Pictures computed at once.
        precision: fp32, bf16 or fp16.
        data: Bytes of pictures held on the device.
        on_cpu: Whether it trains on the CPU.
    """
    parameters = sum(p.numel() for p in denoiser.parameters())
    kept = _kept_for_backward(denoiser, shape, precision)
    return MemoryEstimate(
        parameters=parameters,
        state=parameters * FLOAT * 5,
        activations=micro_batch * round(TEMPORARIES * kept),
        saving=parameters * FLOAT * COPIES if on_cpu else 0,
        data=data,
        program=PROGRAM if on_cpu else 0,
        micro_batch=micro_batch,
    )


def _kept_for_backward(denoiser: Denoiser, shape: tuple[int, int, int], precision: str) -> int:
    weights = {p.untyped_storage().data_ptr() for p in denoiser.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = torch.zeros(1, *shape)
    one = torch.zeros(1, dtype=torch.int64)
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        autocast(x.device, precision),
    ):
        loss = denoiser.loss(x, one, torch.zeros_like(x), one)
    del loss
    return sum(kept.values())


class MicroBatch:
    """The number of pictures that this process computes at once.

    Args:
        asked: What the profile says; None: as many as there are.
        share: Slots of this process in a batch.

    Attributes:
        size: How many now.
    """

    def __init__(self, asked: int | str | None, share: int) -> None:
        self.asked = asked
        self.share = share
        self.size = min(asked, share) if isinstance(asked, int) else share

    def split(self, slots: Tensor) -> tuple[Tensor, ...]:
        """Return the slots in parts, [B] each."""
        return slots.split(self.size)

    def halve(self) -> bool:
        """Compute half as many at once; return whether that is possible."""
        if self.size == 1:
            return False
        self.size = (self.size + 1) // 2
        return True

    def state(self) -> dict[str, object]:
        """Return what has to be remembered, for the same bits after a resume."""
        return {"asked": self.asked, "share": self.share, "size": self.size}

    def load(self, state: dict[str, object]) -> None:
        """Take over a size that was found before, unless something else is asked for now."""
        size = state.get("size")
        alike = state.get("asked") == self.asked and state.get("share") == self.share
        if alike and isinstance(size, int) and 1 <= size <= self.size:
            self.size = size


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    # The CPU's allocator has no error of its own.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def free_what_is_left(device: torch.device) -> None:
    """Give back the memory of an update that was broken off."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
