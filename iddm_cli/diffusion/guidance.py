"""Classifier-free guidance: a denoiser around a denoiser, and the steps at which it applies."""

from collections.abc import Sequence

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule


def guide(denoise: Denoise, scale: float | Tensor, *, no_label: int) -> Denoise:
    """Return a denoiser with classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598).

    Its estimate is uncond + scale * (cond - uncond): scale 1 disables guidance, 0 ignores the
    label; the paper's w is our scale - 1 (its eq. 6). Both halves go through the network as one
    batch. Guiding estimates of x or of the noise is the same, each being linear in the other.

    Args:
        denoise: The denoiser to evaluate both with and without the label.
        scale: Guidance scale, 0 or more: a number, or a tensor, [], in exports that take it as an
            input; or that of each image, [B], where only those whose scale is not 1 are evaluated a
            second time, without their label.
        no_label: The label that means "no label".
    """
    if not isinstance(scale, Tensor) or scale.dim() == 0:
        unguided = not isinstance(scale, Tensor) and scale == 1
        return denoise if unguided else _guide_rows(denoise, scale, None, no_label=no_label)
    rows = (scale != 1).nonzero().flatten()
    if len(rows) == 0:
        return denoise
    scale = scale[rows].view(-1, 1, 1, 1)
    return _guide_rows(denoise, scale, rows, no_label=no_label)


def _guide_rows(
    denoise: Denoise, scale: float | Tensor, rows: Tensor | None, *, no_label: int
) -> Denoise:
    """Return a denoiser that guides some images of a batch; `rows` None stands for all."""

    def estimate(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        again = [x_t, t] if rows is None else [x_t[rows], t[rows]]
        labels = torch.cat([label, torch.full_like(again[1], no_label)])
        both = denoise(torch.cat([x_t, again[0]]), torch.cat([t, again[1]]), labels)
        count = x_t.shape[0]  # len() would fix the batch size of an exported program
        cond, uncond = both[:count], both[count:]
        if rows is None:
            return uncond + scale * (cond - uncond)
        return cond.index_copy(0, rows, uncond + scale * (cond[rows] - uncond))

    return estimate


def find_guided_steps(
    schedule: NoiseSchedule, times: Sequence[int], interval: Sequence[float]
) -> list[bool]:
    """Return whether guidance applies at each solver step.

    Guidance is applied in an interval of noise levels only (Kynkäänniemi et al. 2024,
    arXiv:2404.07724, eq. 6): it harms at high levels and changes little at low ones, and elsewhere
    the network is evaluated once. The level is the share of the noise, sigma / sqrt(alpha^2 +
    sigma^2), so that an interval means the same for every noise schedule; the paper's sigma, of
    EDM's schedule with alpha = 1, is the share sigma / sqrt(1 + sigma^2).

    Args:
        schedule: The noise schedule.
        times: The time that each step starts from, indices into the schedule.
        interval: Lowest and highest share, both inclusive; [0, 1] contains every step.
    """
    low, high = interval
    levels = schedule.levels_at(times)
    share = levels.sigma / torch.hypot(levels.alpha, levels.sigma)
    return ((share.clamp(max=1) >= low) & (share.clamp(max=1) <= high)).tolist()
