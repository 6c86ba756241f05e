"""Classifier-free guidance: a denoiser around a denoiser."""

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise


def guided(denoise: Denoise, weight: float | Tensor, *, no_label: int) -> Denoise:
    """Follow the label `weight` times as hard (Ho & Salimans 2022, arXiv:2207.12598).

    The estimate is uncond + weight * (cond - uncond): weight 1 is no guidance, 0 ignores the
    label; the paper's own w is our weight - 1 (its eq. 6). Both halves go through the network as
    one batch. Guiding estimates of x or of the noise is the same, each being linear in the other.

    Args:
        denoise: The denoiser to ask, both with and without label.
        weight: Guidance weight, 0 or more; as a tensor, [], in exports that are given theirs.
        no_label: The label that means "no label".
    """
    if not isinstance(weight, Tensor) and weight == 1:
        return denoise

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        labels = torch.cat([label, torch.full_like(label, no_label)])
        both = denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), labels)
        cond, uncond = both.unflatten(0, (2, -1))
        return uncond + weight * (cond - uncond)

    return estimate


def guided_each(denoise: Denoise, weights: Tensor, *, no_label: int) -> Denoise:
    """Follow each picture's label as hard as it wants; one of weight 1 has no second half.

    Args:
        denoise: The denoiser to ask, both with and without label.
        weights: Guidance weight of each picture, [B].
        no_label: The label that means "no label".
    """
    rows = (weights != 1).nonzero().flatten()
    followed = weights[rows].view(-1, 1, 1, 1)

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        labels = torch.cat([label, torch.full_like(rows, no_label)])
        both = denoise(torch.cat([x_t, x_t[rows]]), torch.cat([t, t[rows]]), labels)
        cond, uncond = both.split([len(x_t), len(rows)])
        return cond.index_copy(0, rows, uncond + followed * (cond[rows] - uncond))

    return estimate
