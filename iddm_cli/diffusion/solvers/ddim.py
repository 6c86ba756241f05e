"""DDIM and DDPM: steps along the noise that the newest estimate implies."""

from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import find_ends
from iddm_cli.diffusion.time_grids import TimeGrid


def ddim(schedule: NoiseSchedule, grid: TimeGrid, calls: int, *, eta: float = 0.0) -> SolverTable:
    """DDIM (Song et al. 2021, arXiv:2010.02502, eq. 12 with the variance of eq. 16).

    eta 0 is deterministic; eta 1 over all times is DDPM's ancestral sampling with the small
    variance (section 4.1), for any alpha and sigma that of the posterior of the forward process
    (Kingma et al. 2021, arXiv:2107.00630, appendix A).
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    c_noise = eta * (end.sigma / start.sigma) * schedule.added_variance(start, end).sqrt()
    kept_noise = (end.sigma**2 - c_noise**2).clamp(min=0).sqrt()
    # The noise that an estimate implies is (x_t - alpha * denoised) / sigma.
    c_x = kept_noise / start.sigma
    return SolverTable.from_columns(
        times, c_x=c_x, c_denoised=end.alpha - c_x * start.alpha, c_noise=c_noise
    )


def euler(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """Euler's method in sigma / alpha (Karras et al. 2022, arXiv:2206.00364, section 3).

    With x_t / alpha as state it takes DDIM's steps (same paper, appendix C.4).
    """
    return ddim(schedule, grid, calls)


def ddpm(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """Ancestral sampling (DDPM, arXiv:2006.11239, algorithm 2 with the small variance)."""
    return ddim(schedule, grid, calls, eta=1.0)
