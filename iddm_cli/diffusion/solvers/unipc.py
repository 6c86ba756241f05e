"""UniPC: a predictor, and a corrector that needs no call of its own."""

import math

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.solver import find_ends
from iddm_cli.diffusion.time_grids import TimeGrid


def unipc(schedule: NoiseSchedule, grid: TimeGrid, calls: int, *, order: int = 2) -> SolverTable:
    """UniPC (Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2, with B2 and data prediction).

    Step k calls the network at the predicted x_t, corrects x_t with that estimate (UniC), and
    predicts the next one from it (UniP). Correction and prediction of the step before are the same
    but for the weights of estimates, so the corrected x_t is the predicted one plus estimates.
    Orders rise at the start and fall at the end, where steps in log-SNR are long.
    """
    times = grid(calls)
    start, end = find_ends(schedule, times)
    levels = start.log_snr / 2  # lambda of the paper
    orders = [min(order, k + 1, calls - k) for k in range(calls)]
    c_x = end.sigma / start.sigma
    weights = torch.zeros(calls, 4, dtype=torch.float64)
    predicted = weights[0]
    for k in range(calls):
        if k > 0:
            corrected = _correct(levels, k, orders[k - 1]) * start.alpha[k]
            corrected[1:] -= predicted[:3]
            weights[k] = c_x[k] * corrected
        predicted = _predict(levels, k, orders[k]) * end.alpha[k]
        weights[k] += predicted
    c_denoised, *c_prev = weights.unbind(1)
    return SolverTable.from_columns(times, c_x=c_x, c_denoised=c_denoised, c_prev=c_prev)


def _predict(levels: Tensor, k: int, order: int) -> Tensor:
    """Return UniP's weights in step k of its estimate and the three before, over alpha, [4].

    Args:
        levels: Half the log-SNR where each step starts, [S]; the last step ends at infinity.
        k: The step.
        order: Its order, in [1, 3]; 1 for the last step.
    """
    if k == len(levels) - 1:
        return torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    h = levels[k + 1] - levels[k]
    points = [(levels[k - j] - levels[k]) / h for j in range(1, order)]
    # Of second order, the paper takes 1 / 2, the limit for short steps.
    shares = [torch.tensor(0.5)] if order == 2 else _find_shares(points, h)
    weights = torch.zeros(4, dtype=torch.float64)
    for j, (point, share) in enumerate(zip(points, shares, strict=True), start=1):
        weights[j] = share / point
    weights[0] = 1 - weights.sum()
    return -torch.expm1(-h) * weights


def _correct(levels: Tensor, k: int, order: int) -> Tensor:
    """Return UniC's weights of estimate k and the three before, over alpha, [4].

    They are those of step k - 1, taken again, `order` in [1, 3] as it was there.
    """
    h = levels[k] - levels[k - 1]
    points = [(levels[k - 1 - j] - levels[k - 1]) / h for j in range(1, order)]
    points.append(torch.ones_like(h))
    shares = [torch.tensor(0.5)] if order == 1 else _find_shares(points, h)
    weights = torch.zeros(4, dtype=torch.float64)
    weights[0] = shares[-1]
    for j, (point, share) in enumerate(zip(points[:-1], shares[:-1], strict=True), start=2):
        weights[j] = share / point
    weights[1] = 1 - weights.sum()
    return -torch.expm1(-h) * weights


def _find_shares(points: list[Tensor], h: Tensor) -> list[Tensor]:
    """Return the share of each point's divided difference (theorem 3.1 of the paper).

    Args:
        points: Where estimates are besides the one at the start, in steps from there.
        h: Length of the step in half the log-SNR, [].
    """
    if not points:
        return []
    rows = torch.stack(points) ** torch.arange(len(points))[:, None]
    # b_i = i! * h * phi_{i+1}(h) / B(h), for data prediction with -h, B(h) = exp(-h) - 1.
    phi, wanted = torch.expm1(-h) / -h, []
    for i in range(1, len(points) + 1):
        phi = (phi - 1 / math.factorial(i)) / -h
        wanted.append(math.factorial(i) * -h * phi / torch.expm1(-h))
    return list(torch.linalg.solve(rows, torch.stack(wanted)))
