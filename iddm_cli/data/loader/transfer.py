"""Copies of batches to the device, for which neither side waits."""

import torch
from torch import Tensor


def copy_to(device: torch.device, tensor: Tensor) -> Tensor:
    """Return a tensor on a device; itself where it is there already.

    To a GPU it goes from pinned memory, which PyTorch keeps until the copy is made: a copy from
    other memory would wait for all work that the GPU has still to do.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
