"""Samplers: from pure noise to a picture, over the denoiser's contract alone.

Every step of every sampler here is a weighted sum of what is at hand:

    next x_t = keep * x_t + take * estimate + back * estimate before + fresh * new noise

So a sampler is a function that writes down the weights of its steps, held against its paper, and
`advance` is the one step there is. Pictures that are at different steps, or drawn by different
samplers, can advance as one batch; and whoever has the table needs no code of ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule

NoiseAt = Callable[[int], Tensor]
"""`noise_at(k)` returns fresh standard normal noise for solver step k, [B, C, H, W]."""


@dataclass(frozen=True)
class Steps:
    """The steps of a sampler.

    Attributes:
        times: The time that each step starts from, falling, indices into the schedule.
        weights: keep, take, back and fresh of each step, [S, 4], float32, on the CPU.
    """

    times: list[int]
    weights: Tensor

    def __len__(self) -> int:
        return len(self.times)

    def adds_noise(self, k: int) -> bool:
        """Whether step k asks for fresh noise."""
        return bool(self.weights[k, 3] != 0)


class Sampler(Protocol):
    """A solver: from a noise schedule and falling times to the weights of its steps.

    The last step ends at the clean end of the schedule, and returns its estimate.
    """

    def __call__(self, schedule: NoiseSchedule, times: list[int]) -> Steps:
        """Return the steps."""
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


def _ends(schedule: NoiseSchedule, times: list[int]) -> tuple[Tensor, Tensor]:
    """Return log alpha where each step starts and where it ends, [S], float64."""
    log_alpha = schedule.log_alpha[times]
    return log_alpha, torch.cat([log_alpha[1:], torch.zeros(1, dtype=torch.float64)])


def _alpha_sigma(log_alpha: Tensor) -> tuple[Tensor, Tensor]:
    return log_alpha.exp(), torch.expm1(2 * log_alpha).abs().sqrt()


def ddim(schedule: NoiseSchedule, times: list[int], *, eta: float = 0.0) -> Steps:
    """DDIM (Song et al. 2021, arXiv:2010.02502, eq. 12 with the variance of eq. 16).

    eta 0 is deterministic; eta 1 over all times is DDPM's ancestral sampling with the small
    variance (section 4.1).
    """
    log_now, log_then = _ends(schedule, times)
    (alpha, sigma), (alpha_next, sigma_next) = _alpha_sigma(log_now), _alpha_sigma(log_then)
    # 1 - (alpha / alpha_next)^2, without subtracting numbers that are almost equal.
    added = -torch.expm1(2 * (log_now - log_then))
    fresh = eta * (sigma_next / sigma) * added.sqrt()
    kept = (sigma_next**2 - fresh**2).clamp(min=0).sqrt()
    # The noise that an estimate implies is (x_t - alpha * estimate) / sigma.
    keep = kept / sigma
    take = alpha_next - keep * alpha
    return Steps(times, torch.stack([keep, take, torch.zeros_like(keep), fresh], 1).float())


def dpmpp_2m(schedule: NoiseSchedule, times: list[int]) -> Steps:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2), deterministic.

    Extrapolates from the two newest estimates; the first and the last step are of first order
    (the paper's advice for few steps: the last half-log-SNR step is infinitely long).
    """
    log_now, log_then = _ends(schedule, times)
    (alpha, sigma), (alpha_next, sigma_next) = _alpha_sigma(log_now), _alpha_sigma(log_then)
    h = (alpha_next / sigma_next).log() - (alpha / sigma).log()
    ahead = torch.zeros_like(h)
    ahead[1:-1] = h[1:-1] / h[:-2] / 2
    take = -alpha_next * torch.expm1(-h)
    keep = sigma_next / sigma
    weights = torch.stack([keep, take * (1 + ahead), -take * ahead, torch.zeros_like(h)], 1)
    return Steps(times, weights.float())


SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "ddpm": partial(ddim, eta=1.0),
    "dpmpp-2m": dpmpp_2m,
}


def usual_steps(sampler: str, timesteps: int) -> int:
    """Return how many solver steps a sampler takes where the user did not say."""
    return timesteps if sampler == "ddpm" else min(20, timesteps)


def advance(weights: Tensor, x_t: Tensor, estimate: Tensor, before: Tensor) -> Tensor:
    """Take one step, but for the fresh noise.

    Args:
        weights: Of the step, [4], or of each picture's own step, [B, 4].
        x_t: Where the step starts, [B, C, H, W].
        estimate: What the denoiser says x is, same shape.
        before: What it said at the step before, same shape; of no account at the first.
    """
    keep, take, back, _ = weights.unsqueeze(-1).unsqueeze(-1).unsqueeze(-1).unbind(-4)
    return keep * x_t + take * estimate + back * before


def sample(
    denoise: Denoise, steps: Steps, *, noise: Tensor, label: Tensor, noise_at: NoiseAt
) -> Tensor:
    """Draw a batch: start at `noise`, and take all steps.

    Args:
        denoise: The denoiser.
        steps: A sampler's steps.
        noise: Standard normal noise, [B, C, H, W].
        label: Class of each picture, [B].
        noise_at: Draws the noise that a step adds.

    Returns:
        The last estimate of x, [B, C, H, W], values about [-1, 1]; no noise is left in it.
    """
    weights = steps.weights.to(noise.device)
    x_t = before = noise
    for k, t in enumerate(steps.times):
        estimate = denoise(x_t, torch.full_like(label, t), label)
        x_t = advance(weights[k], x_t, estimate, before)
        if steps.adds_noise(k):
            x_t = x_t + weights[k, 3] * noise_at(k)
        before = estimate
    return x_t
