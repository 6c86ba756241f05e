"""Memory: what a run will take, measured on one picture before the run starts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.device import autocast

FLOAT = 4


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training holds at its peak.

    Attributes:
        parameters: Number of trained parameters.
        state: Weights, gradients, average and the optimizer's two means.
        activations: What the backward pass of one micro-batch needs.
        data: The pictures, where they lie on the device.
    """

    parameters: int
    state: int
    activations: int
    data: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.state + self.activations + self.data


def estimate_memory(
    denoiser: Denoiser, *, shape: tuple[int, int, int], micro_batch: int, precision: str, data: int
) -> MemoryEstimate:
    """Estimate a run's memory from what one picture's loss keeps for its backward pass.

    Args:
        denoiser: On the CPU.
        shape: Channels, height and width of a picture.
        micro_batch: Pictures computed at once.
        precision: fp32, bf16 or fp16.
        data: Bytes of pictures held on the device.
    """
    parameters = sum(p.numel() for p in denoiser.parameters())
    state = parameters * FLOAT * 5
    return MemoryEstimate(
        parameters=parameters,
        state=state,
        activations=micro_batch * _kept_for_backward(denoiser, shape, precision),
        data=data,
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
