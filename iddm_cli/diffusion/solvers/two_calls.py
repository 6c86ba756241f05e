"""Solvers that call the network twice a step: Heun's method and DPM-Solver-2.

With s = sigma / alpha as time and x_t / alpha as state y, the probability flow is
dy/ds = (y - D) / s, D the estimate of x (Karras et al. 2022, arXiv:2206.00364, eq. 1 and 3). A step
from s0 to s1 goes to a level sm by Euler's method, calls the network there, and takes the step with
both derivatives. What the first call kept and where the second one starts determine where the step
started, so both calls are rows of the table.

The last step, to s = 0, where the flow is singular, is Euler's, of one call. So are steps from
almost pure noise, see `ALMOST_NOISE`, and one more at the start where the number of calls is even.
"""

import math
from collections.abc import Callable

import torch

from iddm_cli.diffusion.schedules import CLEAN, NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import count_noisy
from iddm_cli.diffusion.time_grids import TimeGrid

Row = tuple[float, float, float]
"""c_x, c_denoised and c_prev1."""

Middle = Callable[[NoiseSchedule, int, int], int]
"""`middle(schedule, start, end)` returns the time of the second call, in [end, start)."""


def heun(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """Heun's method: the second call is at the end of the step.

    Karras et al. 2022, arXiv:2206.00364, algorithm 1, without churn.
    """
    return _build_table(schedule, grid, calls, lambda _, start, end: end)


def dpm2(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> SolverTable:
    """DPM-Solver-2 in sigma: the second call is at the geometric mean of the step's ends.

    Karras et al. 2022, arXiv:2206.00364, algorithm 3 with the midpoint in log sigma (k-diffusion's
    dpm_2), after DPM-Solver-2 (Lu et al. 2022, arXiv:2206.00927, algorithm 1). The call is at the
    nearest time of the schedule, and its weight is that of its actual level, see `_correct`.
    """
    return _build_table(schedule, grid, calls, _find_geometric_mean)


def _find_geometric_mean(schedule: NoiseSchedule, start: int, end: int) -> int:
    log_snr = schedule.levels.log_snr
    mean = (log_snr[start] + log_snr[end]) / 2
    return end + int((log_snr[end:start] - mean).abs().argmin())


def _build_table(
    schedule: NoiseSchedule, grid: TimeGrid, calls: int, middle: Middle
) -> SolverTable:
    starts, singles = _share_calls(schedule, grid, calls)
    times: list[int] = []
    rows: list[Row] = []
    for k, (start, end) in enumerate(zip(starts, [*starts[1:], CLEAN], strict=True)):
        times.append(start)
        if k < singles or end == CLEAN:
            rows.append(_euler(schedule, start, end))
            continue
        second = middle(schedule, start, end)
        times.append(second)
        rows += [_euler(schedule, start, second), _correct(schedule, start, second, end)]
    c_x, c_denoised, c_prev = torch.tensor(rows, dtype=torch.float64).unbind(1)
    return SolverTable.from_columns(times, c_x=c_x, c_denoised=c_denoised, c_prev=[c_prev])


def _share_calls(schedule: NoiseSchedule, grid: TimeGrid, calls: int) -> tuple[list[int], int]:
    """Return the times of as few steps as take so many calls, and how many begin with one call."""
    for count in range(calls // 2 + 1, calls + 1):
        starts = grid(count)
        noisy = count_noisy(schedule, starts[:-1])
        surplus = 2 * count - 1 - noisy - calls
        if surplus >= 0:
            return starts, noisy + surplus
    raise AssertionError("as many steps as calls take at least one call each")


def _euler(schedule: NoiseSchedule, start: int, end: int) -> Row:
    """Return Euler's step, which is DDIM's."""
    alpha, sigma, _ = (level.tolist() for level in schedule.levels_at([start, end]))
    c_x = sigma[1] / sigma[0]
    return c_x, alpha[1] - c_x * alpha[0], 0.0


def _correct(schedule: NoiseSchedule, start: int, second: int, end: int) -> Row:
    """Return the row of the second call: the step from `start` to `end` with both derivatives.

    y1 = y0 + (s1 - s0) * ((1 - q) * d0 + q * dm) is of second order for q = 1 / (2 r), where sm is
    at r of the way in log s: Heun's method for r = 1, the midpoint method for r = 1 / 2. With
    d0 = (ym - D0) / sm, since Euler's step keeps D0, and dm = (ym - Dm) / sm, that is
    y1 = D0 + s1 * d0 + (s0 - s1) * q / sm * (Dm - D0).
    """
    alpha, sigma, _ = (level.tolist() for level in schedule.levels_at([start, second, end]))
    s0, sm, s1 = (b / a for a, b in zip(alpha, sigma, strict=True))
    q = math.log(s1 / s0) / math.log(sm / s0) / 2
    weight = (s0 - s1) * q / sm
    kept = s1 / sm
    return alpha[2] * kept / alpha[1], alpha[2] * weight, alpha[2] * (1 - kept - weight)
