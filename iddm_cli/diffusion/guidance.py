"""Classifier-free guidance: a denoiser around a denoiser."""

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise


def guide(denoise: Denoise, scale: float | Tensor, *, no_label: int) -> Denoise:
    """Return a denoiser with classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598).

    Its estimate is uncond + scale * (cond - uncond): scale 1 disables guidance, 0 ignores the
    label; the paper's w is our scale - 1 (its eq. 6). Both halves go through the network as one
    batch. Guiding estimates of x or of the noise is the same, each being linear in the other.

    Args:
        denoise: The denoiser to evaluate both with and without the label.
        scale: Guidance scale, 0 or more; a tensor, [], in exports that take it as an input.
        no_label: The label that means "no label".
    """
    if not isinstance(scale, Tensor) and scale == 1:
        return denoise

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        labels = torch.cat([label, torch.full_like(label, no_label)])
        both = denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), labels)
        cond, uncond = both.unflatten(0, (2, -1))
        return uncond + scale * (cond - uncond)

    return estimate


def guide_each(denoise: Denoise, scales: Tensor, *, no_label: int) -> Denoise:
    """Return a denoiser that guides each image by its own scale.

    Only images whose scale is not 1 are evaluated a second time, without their label.

    Args:
        denoise: The denoiser to evaluate both with and without the label.
        scales: Guidance scale of each image, [B].
        no_label: The label that means "no label".
    """
    rows = (scales != 1).nonzero().flatten()
    guided_scales = scales[rows].view(-1, 1, 1, 1)

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        labels = torch.cat([label, torch.full_like(rows, no_label)])
        both = denoise(torch.cat([x_t, x_t[rows]]), torch.cat([t, t[rows]]), labels)
        cond, uncond = both.split([len(x_t), len(rows)])
        return cond.index_copy(0, rows, uncond + guided_scales * (cond[rows] - uncond))

    return estimate
