"""Noise schedules: how much image and how much noise is left at time t.

Notation, used in every file of this folder:

    x         clean image, [B, C, H, W], values in [-1, 1]
    noise     standard normal, same shape as x
    t         index into the schedule, [B], int64; 0 is almost clean, T - 1 almost pure noise
    x_t       noisy image, x_t = alpha[t] * x + sigma[t] * noise
    denoised  the denoiser's estimate of x, given x_t
    label     class index in [0, num_classes), [B], int64; num_classes itself means "no label"
    SNR       signal-to-noise ratio, alpha[t]^2 / sigma[t]^2

What papers on variance-preserving schedules call alpha-bar is alpha[t]^2.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

CLEAN = -1
"""The time at which every schedule is clean: alpha is 1 and sigma is 0."""


class NoiseLevels(NamedTuple):
    """A schedule at some times, each [S], float64, on the CPU."""

    alpha: Tensor
    sigma: Tensor
    log_alpha: Tensor

    @property
    def log_snr(self) -> Tensor:
        """The logarithm of the signal-to-noise ratio, infinite at the clean end."""
        return 2 * (self.log_alpha - self.sigma.log())


class NoiseSchedule(nn.Module):
    """Two functions of time, alpha and sigma, as tables of T entries.

    The SNR falls with t. Nothing else is assumed: alpha[t]^2 + sigma[t]^2 need not be 1. Sampling
    starts from standard normal noise, so sigma[T - 1] should be about 1: the noise levels of EDM
    (arXiv:2206.00364), where alpha is 1 and sigma goes up to 80, enter divided by
    sqrt(1 + sigma^2), which is EDM's own scaling of the network's input (c_in).

    Attributes:
        alpha, sigma: float32, [T], on the device of the network.
        levels: The same, and log alpha, in float64 on the CPU: float32 has lost the digits of
            log alpha where alpha is almost 1.
        betas: The variance that each step of a variance-preserving schedule adds, [T], float64;
            None for other schedules.

    Args:
        alpha: Share of the image, [T], float64.
        sigma: Standard deviation of the noise, [T], float64.
        log_alpha: The logarithm of alpha, where it is known to more digits than alpha gives.
        betas: See above; `from_betas` gives them.
    """

    alpha: Tensor
    sigma: Tensor

    def __init__(
        self,
        alpha: Tensor,
        sigma: Tensor,
        *,
        log_alpha: Tensor | None = None,
        betas: Tensor | None = None,
    ) -> None:
        super().__init__()
        # No buffers, since those follow the network to devices without float64.
        self.levels = NoiseLevels(alpha, sigma, alpha.log() if log_alpha is None else log_alpha)
        self.betas = betas
        self.register_buffer("alpha", alpha.float(), persistent=False)
        self.register_buffer("sigma", sigma.float(), persistent=False)

    @classmethod
    def from_betas(cls, betas: Tensor) -> "NoiseSchedule":
        """Return the variance-preserving schedule with these betas.

        alpha[t]^2 is the product of 1 - beta up to t, and sigma[t]^2 = 1 - alpha[t]^2 (DDPM, Ho et
        al. 2020, arXiv:2006.11239, eq. 2 and 4).

        Args:
            betas: Variance added at each step, [T], each in (0, 1).
        """
        betas = betas.double()
        log_alpha = torch.log1p(-betas).cumsum(dim=0) / 2
        sigma = torch.expm1(2 * log_alpha).abs().sqrt()
        return cls(log_alpha.exp(), sigma, log_alpha=log_alpha, betas=betas)

    @classmethod
    def from_log_alpha(cls, log_alpha: Tensor) -> "NoiseSchedule":
        """Return the variance-preserving schedule with this log alpha, [T], float64, falling."""
        before = torch.cat([torch.zeros_like(log_alpha[:1]), log_alpha[:-1]])
        sigma = torch.expm1(2 * log_alpha).abs().sqrt()
        betas = -torch.expm1(2 * (log_alpha - before))
        return cls(log_alpha.exp(), sigma, log_alpha=log_alpha, betas=betas)

    def __len__(self) -> int:
        return len(self.alpha)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha[t] and sigma[t], [B, 1, 1, 1]; t = -1 is the clean end, (1, 0)."""
        clean = t < 0
        index = t.clamp(min=0)
        alpha = torch.where(clean, torch.ones_like(self.alpha[index]), self.alpha[index])
        sigma = torch.where(clean, torch.zeros_like(self.sigma[index]), self.sigma[index])
        return alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)

    def at_unit_variance(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x_t, alpha[t] and sigma[t], scaled so that alpha^2 + sigma^2 = 1.

        Prediction types are defined there. In a variance-preserving schedule the scale is 1.
        """
        alpha, sigma = self.at(t)
        if self.betas is not None:
            return x_t, alpha, sigma
        scale = (alpha**2 + sigma**2).sqrt()  # torch.hypot has no ONNX operator
        return x_t / scale, alpha / scale, sigma / scale

    def snr(self, t: Tensor) -> Tensor:
        """Return the signal-to-noise ratio at times t, [B, 1, 1, 1]."""
        alpha, sigma = self.at(t)
        return (alpha / sigma) ** 2

    def levels_at(self, times: Sequence[int]) -> NoiseLevels:
        """Return alpha and sigma to all digits; a time may be `CLEAN`."""
        index = torch.tensor(times)
        ends = zip(self.levels, (1.0, 0.0, 0.0), strict=True)
        return NoiseLevels(
            *(table[index].masked_fill(index == CLEAN, clean) for table, clean in ends)
        )

    def added_variance(self, start: NoiseLevels, end: NoiseLevels) -> Tensor:
        """Return the variance of the noise that the forward process adds from `end` to `start`.

        sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2 (Kingma et al. 2021, arXiv:2107.00630, appendix
        A) for t at the start of a solver step and s < t at its end, [S]. The two terms are almost
        equal for short steps, so they are not subtracted: where variance is preserved this is
        1 - (alpha_t / alpha_s)^2, and in general sigma_t^2 (1 - SNR_t / SNR_s).
        """
        if self.betas is not None:
            return -torch.expm1(2 * (start.log_alpha - end.log_alpha))
        return -(start.sigma**2) * torch.expm1(start.log_snr - end.log_snr)


def linear_schedule(timesteps: int) -> NoiseSchedule:
    """Betas on a line from 1e-4 to 0.02 (DDPM, arXiv:2006.11239, section 4).

    The ends hold for T = 1000; for other T they are scaled by 1000 / T, so that the noise at the
    end stays the same (improved DDPM, arXiv:2102.09672, its code).
    """
    scale = 1000 / timesteps
    betas = torch.linspace(1e-4 * scale, 0.02 * scale, timesteps, dtype=torch.float64)
    return NoiseSchedule.from_betas(betas.clamp(max=0.999))


def sqrt_linear_schedule(timesteps: int) -> NoiseSchedule:
    """Betas whose square roots lie on a line (latent diffusion, arXiv:2112.10752, its code)."""
    scale = 1000 / timesteps
    start, end = math.sqrt(1e-4 * scale), math.sqrt(0.02 * scale)
    betas = torch.linspace(start, end, timesteps, dtype=torch.float64) ** 2
    return NoiseSchedule.from_betas(betas.clamp(max=0.999))


def cosine_schedule(timesteps: int, s: float = 0.008) -> NoiseSchedule:
    """Betas that make alpha-bar a squared cosine (improved DDPM, arXiv:2102.09672, eq. 17)."""
    time = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    alpha_bar = torch.cos((time + s) / (1 + s) * math.pi / 2) ** 2
    return NoiseSchedule.from_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=0.999))


def flow_schedule(timesteps: int) -> NoiseSchedule:
    """Straight lines from image to noise: alpha = 1 - s, sigma = s.

    Rectified flow (Liu et al. 2022, arXiv:2209.03003, eq. 1) with s = (t + 1/2) / T, so that
    neither end is reached: at s = 1 nothing of the image would be left, and its SNR would have no
    logarithm.
    """
    sigma = (torch.arange(timesteps, dtype=torch.float64) + 0.5) / timesteps
    return NoiseSchedule(1 - sigma, sigma, log_alpha=torch.log1p(-sigma))


def edm_schedule(timesteps: int) -> NoiseSchedule:
    """EDM's noise levels from 0.002 to 80 (Karras et al. 2022, arXiv:2206.00364, eq. 5, rho 7).

    EDM's sigma is sigma / alpha here; both are scaled so that the variance is preserved.
    """
    low, high = (level ** (1 / 7) for level in (0.002, 80.0))
    ratio = torch.linspace(low, high, timesteps, dtype=torch.float64) ** 7
    return NoiseSchedule.from_log_alpha(-torch.log1p(ratio**2) / 2)


def shift_noise(schedule: NoiseSchedule, factor: float) -> NoiseSchedule:
    """Return a schedule with more noise at every time: sigma / alpha times `factor`.

    Large images need it, since the mean of many pixels shows what the noise of each hides: the
    factor is their side divided by that of the images that the schedule suits (simple diffusion,
    Hoogeboom et al. 2023, arXiv:2301.11093, eq. 3). Of a flow it is the shift of Stable Diffusion 3
    (Esser et al. 2024, arXiv:2403.03206, eq. 23).

    Args:
        schedule: The schedule.
        factor: More than 0; 1 changes nothing.
    """
    if factor == 1:
        return schedule
    ratio = factor * schedule.levels.sigma / schedule.levels.alpha
    if schedule.betas is not None:
        return NoiseSchedule.from_log_alpha(-torch.log1p(ratio**2) / 2)
    alpha = 1 / (1 + ratio)
    return NoiseSchedule(alpha, ratio * alpha, log_alpha=-torch.log1p(ratio))


TERMINAL_LOG_ALPHA = -12 * math.log(2)
"""Alpha-bar of 2^-24 at the end, as diffusers has it: zero would have no logarithm."""


def end_in_noise(schedule: NoiseSchedule) -> NoiseSchedule:
    """Return a schedule that ends in pure noise (Lin et al. 2024, arXiv:2305.08891, algorithm 1).

    alpha is moved and scaled so that its last entry is (almost) 0 and its first one stays. Else
    training sees a trace of the image, such as its mean brightness, in what sampling starts from.

    Args:
        schedule: A variance-preserving schedule of more than one entry.
    """
    alpha = schedule.levels.alpha
    scaled = (alpha[:-1] - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    last = torch.full_like(alpha[:1], TERMINAL_LOG_ALPHA)
    # Of the first entry, where alpha is almost 1, the logarithm is known to more digits.
    log_alpha = torch.cat([schedule.levels.log_alpha[:1], scaled[1:].log(), last])
    return NoiseSchedule.from_log_alpha(log_alpha)
