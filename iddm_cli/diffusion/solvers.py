"""Solvers: for each sampler, the function that writes down the coefficients of its steps.

They use alpha and sigma alone, so each works with every noise schedule. All compute in float64;
the table is rounded to float32 at the end.
"""

from typing import Any, Protocol

import torch

from iddm_cli.diffusion.schedules import CLEAN, NoiseLevels, NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable


class Solver(Protocol):
    """From a noise schedule and falling times to a table of coefficients."""

    def __call__(self, schedule: NoiseSchedule, times: list[int], **options: Any) -> SolverTable:
        """Return the table; `options` are the sampling settings that the sampler's row names."""
        ...


def _ends(schedule: NoiseSchedule, times: list[int]) -> tuple[NoiseLevels, NoiseLevels]:
    """Return the noise levels where each step starts and where it ends."""
    return schedule.levels_at(times), schedule.levels_at([*times[1:], CLEAN])


def ddim(schedule: NoiseSchedule, times: list[int], *, eta: float = 0.0) -> SolverTable:
    """DDIM (Song et al. 2021, arXiv:2010.02502, eq. 12 with the variance of eq. 16).

    eta 0 is deterministic; eta 1 over all times is DDPM's ancestral sampling with the small
    variance (section 4.1), for any alpha and sigma that of the posterior of the forward process
    (Kingma et al. 2021, arXiv:2107.00630, appendix A).
    """
    start, end = _ends(schedule, times)
    c_noise = eta * (end.sigma / start.sigma) * schedule.added_variance(start, end).sqrt()
    kept_noise = (end.sigma**2 - c_noise**2).clamp(min=0).sqrt()
    # The noise that an estimate implies is (x_t - alpha * denoised) / sigma.
    c_x = kept_noise / start.sigma
    return SolverTable.from_columns(
        times, c_x=c_x, c_denoised=end.alpha - c_x * start.alpha, c_noise=c_noise
    )


def ddpm(schedule: NoiseSchedule, times: list[int]) -> SolverTable:
    """Ancestral sampling (DDPM, arXiv:2006.11239, algorithm 2 with the small variance)."""
    return ddim(schedule, times, eta=1.0)


def dpmpp_2m(schedule: NoiseSchedule, times: list[int]) -> SolverTable:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2), deterministic.

    Extrapolates from the two newest estimates; the first and the last step are of first order
    (the paper's advice for few steps: the last half-log-SNR step is infinitely long).
    """
    start, end = _ends(schedule, times)
    h = (end.alpha / end.sigma).log() - (start.alpha / start.sigma).log()
    extrapolation = torch.zeros_like(h)
    extrapolation[1:-1] = h[1:-1] / h[:-2] / 2
    first_order = -end.alpha * torch.expm1(-h)
    return SolverTable.from_columns(
        times,
        c_x=end.sigma / start.sigma,
        c_denoised=first_order * (1 + extrapolation),
        c_prev=[-first_order * extrapolation],
    )


def consistency(schedule: NoiseSchedule, times: list[int]) -> SolverTable:
    """Multistep consistency sampling (Song et al. 2023, arXiv:2303.01469, algorithm 1).

    Each call estimates the image, and all but the last add new noise to it.
    """
    _, end = _ends(schedule, times)
    return SolverTable.from_columns(
        times, c_x=torch.zeros_like(end.alpha), c_denoised=end.alpha, c_noise=end.sigma
    )
