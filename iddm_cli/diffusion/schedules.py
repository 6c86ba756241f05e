"""Noise schedules: how much image and how much noise is left at time t.

Notation, used in every file of this folder:

    x        clean image, [B, C, H, W], values in [-1, 1]
    noise    standard normal, same shape as x
    t        index into the schedule, [B], int64; 0 is almost clean, T - 1 almost pure noise
    x_t      noisy image, x_t = alpha[t] * x + sigma[t] * noise
    label    class index in [0, num_classes), [B], int64; num_classes itself means "no label"
    estimate what a denoiser says x is, given x_t

All schedules here preserve variance: alpha[t]^2 + sigma[t]^2 = 1. What papers call alpha-bar
is alpha[t]^2.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    """Two tables, alpha and sigma, each [T], float32.

    Attributes:
        log_alpha: The logarithm of alpha, [T], float64, always on the CPU: alpha's own has lost
            its digits where alpha is almost 1.

    Args:
        betas: Variance added at each step (DDPM, Ho et al. 2020, arXiv:2006.11239, eq. 2), [T],
            float64, each in (0, 1).
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(self, betas: Tensor) -> None:
        super().__init__()
        alpha_bar = torch.cumprod(1 - betas.double(), dim=0)
        # No buffer, since those follow the network to devices without float64.
        self.log_alpha = torch.log1p(-betas.double()).cumsum(dim=0) / 2
        self.register_buffer("alpha", alpha_bar.sqrt().float(), persistent=False)
        self.register_buffer("sigma", (1 - alpha_bar).sqrt().float(), persistent=False)

    def __len__(self) -> int:
        return len(self.alpha)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha[t] and sigma[t], [B, 1, 1, 1]; t = -1 is the clean end, (1, 0)."""
        clean = t < 0
        index = t.clamp(min=0)
        alpha = torch.where(clean, torch.ones_like(self.alpha[index]), self.alpha[index])
        sigma = torch.where(clean, torch.zeros_like(self.sigma[index]), self.sigma[index])
        return alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)

    def snr(self, t: Tensor) -> Tensor:
        """Return the signal-to-noise ratio alpha[t]^2 / sigma[t]^2, [B, 1, 1, 1]."""
        alpha, sigma = self.at(t)
        return (alpha / sigma) ** 2


def linear_betas(timesteps: int) -> Tensor:
    """Betas on a line from 1e-4 to 0.02 (DDPM, arXiv:2006.11239, section 4).

    The ends hold for T = 1000; for other T they are scaled by 1000 / T, so that the noise at the
    end stays the same (improved DDPM, arXiv:2102.09672, its code).
    """
    scale = 1000 / timesteps
    return torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64).clamp(
        max=0.999
    )


def sqrt_linear_betas(timesteps: int) -> Tensor:
    """Betas whose square roots lie on a line (latent diffusion, arXiv:2112.10752, its code)."""
    scale = 1000 / timesteps
    start, end = math.sqrt(1e-4 * scale), math.sqrt(0.02 * scale)
    return (torch.linspace(start, end, timesteps, dtype=torch.float64) ** 2).clamp(max=0.999)


def cosine_betas(timesteps: int, s: float = 0.008) -> Tensor:
    """Betas that make alpha-bar a squared cosine (improved DDPM, arXiv:2102.09672, eq. 17)."""
    time = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    alpha_bar = torch.cos((time + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999)


SCHEDULES: dict[str, Callable[[int], Tensor]] = {
    "linear": linear_betas,
    "cosine": cosine_betas,
    "sqrt_linear": sqrt_linear_betas,
}
