"""Samplers: from pure noise to a picture, each a plain function over the denoiser's contract."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule

NoiseAt = Callable[[int], Tensor]
"""`noise_at(k)` returns fresh standard normal noise for solver step k, [B, C, H, W]."""


class Sampler(Protocol):
    """A solver: starts at `noise`, visits `times` (falling) and returns the picture."""

    def __call__(
        self,
        denoise: Denoise,
        schedule: NoiseSchedule,
        *,
        noise: Tensor,
        label: Tensor,
        times: list[int],
        noise_at: NoiseAt,
    ) -> Tensor:
        """Return the last estimate of x, [B, C, H, W], values about [-1, 1]."""
        ...


def sampling_times(timesteps: int, steps: int) -> list[int]:
    """Spread solver steps evenly over the schedule, from its last entry down.

    "Trailing" spacing (Lin et al. 2024, arXiv:2305.08891, table 2): the first step starts where
    training ended, at almost pure noise.

    Args:
        timesteps: Entries of the noise schedule (T).
        steps: Number of solver steps, in [1, T].
    """
    return [round(timesteps - k * timesteps / steps) - 1 for k in range(steps)]


def _filled(label: Tensor, t: int) -> Tensor:
    return torch.full_like(label, t)


def ddim(
    denoise: Denoise,
    schedule: NoiseSchedule,
    *,
    noise: Tensor,
    label: Tensor,
    times: list[int],
    noise_at: NoiseAt,
    eta: float = 0.0,
) -> Tensor:
    """DDIM (Song et al. 2021, arXiv:2010.02502, eq. 12 with the variance of eq. 16).

    eta 0 is deterministic; eta 1 over all times is DDPM's ancestral sampling with the small
    variance (section 4.1). The last step returns the estimate itself, with no noise left.
    """
    x_t = noise
    for k, (t, previous) in enumerate(zip(times, [*times[1:], -1], strict=True)):
        now, then = _filled(label, t), _filled(label, previous)
        estimate = denoise(x_t, now, label)
        alpha, sigma = schedule.at(now)
        alpha_next, sigma_next = schedule.at(then)
        predicted_noise = (x_t - alpha * estimate) / sigma
        log_alpha, log_alpha_next = schedule.log_alpha_at(now), schedule.log_alpha_at(then)
        # 1 - (alpha / alpha_next)^2, without subtracting numbers that are almost equal.
        added = -torch.expm1(2 * (log_alpha - log_alpha_next))
        fresh = eta * (sigma_next / sigma) * added.sqrt()
        kept = (sigma_next**2 - fresh**2).clamp(min=0).sqrt()
        x_t = alpha_next * estimate + kept * predicted_noise
        if eta > 0 and previous >= 0:
            x_t = x_t + fresh * noise_at(k)
    return x_t


def dpmpp_2m(
    denoise: Denoise,
    schedule: NoiseSchedule,
    *,
    noise: Tensor,
    label: Tensor,
    times: list[int],
    noise_at: NoiseAt,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2), deterministic.

    Extrapolates from the two newest estimates; the first and the last step are of first order
    (the paper's advice for few steps: the last half-log-SNR step is infinitely long).
    """
    x_t, older, h_older = noise, None, None
    for t, previous in zip(times, [*times[1:], -1], strict=True):
        estimate = denoise(x_t, _filled(label, t), label)
        alpha, sigma = schedule.at(_filled(label, t))
        if previous < 0:
            return estimate
        alpha_next, sigma_next = schedule.at(_filled(label, previous))
        h = torch.log(alpha_next / sigma_next) - torch.log(alpha / sigma)
        ahead = estimate
        if older is not None and h_older is not None:
            ahead = estimate + (h / h_older) / 2 * (estimate - older)
        x_t = (sigma_next / sigma) * x_t - alpha_next * torch.expm1(-h) * ahead
        older, h_older = estimate, h
    return x_t


SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "ddpm": partial(ddim, eta=1.0),
    "dpmpp-2m": dpmpp_2m,
}


def usual_steps(sampler: str, timesteps: int) -> int:
    """Return how many solver steps a sampler takes where the user did not say."""
    return timesteps if sampler == "ddpm" else min(20, timesteps)
