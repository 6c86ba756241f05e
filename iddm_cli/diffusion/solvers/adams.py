"""Linear multistep methods over the noise that estimates imply: PLMS and iPNDM.

Steps keep the implied noise, e = (x_t - alpha * denoised) / sigma. Adams and Bashforth's weights
extrapolate it as if all steps were equally long in time, and DDIM's step transfers x_t with the
result (Liu et al. 2022, arXiv:2202.09778, section 3.3). Steps are not equally long in
sigma / alpha, so that is of second order, which the paper proves for PLMS; weights of higher order
make the error smaller.
"""

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import NoiseLevels, NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import count_noisy, find_ends
from iddm_cli.diffusion.time_grids import TimeGrid

WEIGHTS = (
    (1.0, 0.0, 0.0, 0.0),
    (3 / 2, -1 / 2, 0.0, 0.0),
    (23 / 12, -16 / 12, 5 / 12, 0.0),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Adams and Bashforth's weights of each order, the newest first."""


def ipndm(schedule: NoiseSchedule, grid: TimeGrid, calls: int, *, order: int = 4) -> SolverTable:
    """Improved PNDM (Zhang & Chen 2022, arXiv:2204.13902, appendix; order 1 is DDIM).

    The first steps are of as high an order as there are earlier steps.
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    weights = _choose_weights(calls, order)
    c_x, c_denoised, change = _transfer(start, end, weights[:, 0])
    return SolverTable.from_columns(
        times,
        c_x=c_x,
        c_denoised=c_denoised,
        c_prev=list((change[:, None] * weights[:, 1:]).unbind(1)),
        keeps=(1 / start.sigma, -start.alpha / start.sigma),
    )


def plms(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """PLMS: PNDM without Runge-Kutta steps (Liu et al. 2022, arXiv:2202.09778, algorithm 2).

    As in diffusers with skip_prk_steps: the first step is the improved Euler method's, with a call
    at either end. So there is one step less than calls. Where there is no second step, or the first
    one starts at almost pure noise (`ALMOST_NOISE`), it is of one call: that is iPNDM.
    """
    if calls <= 2 or count_noisy(schedule, grid(1)):
        return ipndm(schedule, grid, calls)
    starts = grid(calls - 1)
    start, end = find_ends(schedule, starts)
    weights = _choose_weights(calls - 1, 4)
    c_x, c_denoised, change = _transfer(start, end, weights[:, 0])
    c_prev = torch.zeros(calls, 4, dtype=torch.float64)
    # A row's earlier steps are the rows before it, but for the first one, before the second call.
    for step in range(1, calls - 1):
        for j in range(1, min(step, 3) + 1):
            c_prev[step + 1, j - 1 + (j == step)] = change[step] * weights[step, j]
    # From x = transfer(x0, e0), the second call changes the noise to (e0 + e) / 2.
    half = change[0] / 2
    c_prev[1, 0] = -half
    sigma, alpha = end.sigma[0], end.alpha[0]
    return SolverTable.from_columns(
        [*starts[:2], *starts[1:]],
        c_x=_insert(c_x, 1 + half / sigma),
        c_denoised=_insert(c_denoised, -half * alpha / sigma),
        c_prev=list(c_prev.unbind(1)),
        keeps=(
            _insert(1 / start.sigma, 1 / sigma),
            _insert(-start.alpha / start.sigma, -alpha / sigma),
        ),
    )


def _choose_weights(steps: int, order: int) -> Tensor:
    """Return the weights of each step, [steps, 4]."""
    rows = [WEIGHTS[min(k + 1, order) - 1] for k in range(steps)]
    return torch.tensor(rows, dtype=torch.float64)


def _transfer(
    start: NoiseLevels, end: NoiseLevels, newest: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return c_x and c_denoised of DDIM's step, and what a unit of noise adds, each [S].

    Args:
        start: Where the steps start.
        end: Where they end.
        newest: Weight of the newest noise, [S].
    """
    c_x = end.alpha / start.alpha * (1 - newest) + end.sigma / start.sigma * newest
    c_denoised = newest * (end.alpha - end.sigma * start.alpha / start.sigma)
    return c_x, c_denoised, end.sigma - start.sigma * end.alpha / start.alpha


def _insert(column: Tensor, second: Tensor) -> Tensor:
    return torch.cat([column[:1], second[None], column[1:]])
