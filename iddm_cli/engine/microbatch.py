"""Micro-batches: how many pictures are computed at once, and what happens when memory runs out.

A batch may be computed in any number of parts, since noise, times and labels belong to the slot:
only the last bits of the sum depend on it. So an update that did not fit can be made again in
smaller parts.
"""

import gc

import torch
from torch import Tensor


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
