"""Sampling: from noise to an image, over the denoiser's contract alone."""

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.solver_table import SolverTable, advance

NoiseAt = Callable[[int], Tensor]
"""`noise_at(k)` returns new standard normal noise for solver step k, [B, C, H, W]."""


Observe = Callable[[int, Tensor, Tensor], None]
"""`observe(k, x_t, denoised)` gets where solver step k starts, and its estimate of x."""


def sample(
    denoise: Denoise | Sequence[Denoise],
    table: SolverTable,
    *,
    noise: Tensor,
    label: Tensor,
    noise_at: NoiseAt,
    observe: Observe | None = None,
) -> Tensor:
    """Generate a batch: start at `noise` and take all steps.

    Args:
        denoise: The denoiser, or that of each step.
        table: A sampler's steps.
        noise: Standard normal noise, or images with noise as the first time of the table has it,
            [B, C, H, W].
        label: Class of each image, [B].
        noise_at: Returns the noise that a step adds.
        observe: Called at every step.

    Returns:
        The last estimate of x, [B, C, H, W], values about [-1, 1]; no noise is left in it.
    """
    coefficients = table.coefficients.to(noise.device)
    denoisers = [denoise] * len(table) if callable(denoise) else denoise
    x_t = noise
    previous: deque[Tensor] = deque(maxlen=table.history)
    for k, t in enumerate(table.times):
        denoised = denoisers[k](x_t, torch.full_like(label, t), label)
        if observe is not None:
            observe(k, x_t, denoised)
        kept = table.keep(k, x_t, denoised)
        x_t = advance(coefficients[k], x_t, denoised, previous)
        if k in table.noisy_steps:
            x_t = x_t + coefficients[k, -1] * noise_at(k)
        previous.appendleft(kept)
    return x_t
