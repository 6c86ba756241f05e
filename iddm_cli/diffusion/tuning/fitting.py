"""The fit of a sampler's coefficients to a teacher, by least squares, one step after another."""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.solver_table import SolverTable, advance

EARLIER_ESTIMATES = 3
"""Earlier estimates that a fitted step uses. On a trained network two halve the error of none at
eight calls, a third takes another three percent, and a fourth nothing."""

RIDGE = 1e-4
"""Weight of the known coefficients, relative to the mean square of what is combined. Errors of
held-out noises are the same for 1e-6, and a little larger for 1e-3."""


def fit_table(
    denoise: Denoise,
    known: SolverTable,
    targets: Sequence[Tensor],
    noise: Tensor,
    label: Tensor,
    *,
    ridge: float = RIDGE,
) -> SolverTable:
    """Return a table whose states are as near to a teacher's as a table of linear steps can be.

    Each step is fitted in turn to reach the teacher's next state from where the steps before it
    really lead, so that it makes up for some of their errors. The estimates are computed there.

    Args:
        denoise: The denoiser.
        known: A deterministic sampler of the same times that keeps its estimates.
        targets: The teacher's state where each step ends, [N, C, H, W] each.
        noise: The noise that both start from, [N, C, H, W].
        label: Class of each image, [N].
        ridge: How much coefficients are drawn to the known ones, see `RIDGE`.
    """
    assert known.keeps is None
    assert not known.noisy_steps
    x_t = noise
    previous: deque[Tensor] = deque(maxlen=EARLIER_ESTIMATES)
    rows = torch.zeros_like(known.coefficients)
    for k, (time, target) in enumerate(zip(known.times, targets, strict=True)):
        denoised = denoise(x_t, torch.full_like(label, time), label)
        terms = [x_t, denoised, *previous]
        guess = known.coefficients[k, : len(terms)].double()
        rows[k, : len(terms)] = _fit_step(terms, target, guess, ridge).float()
        x_t = advance(rows[k].to(x_t.device), x_t, denoised, previous)
        previous.appendleft(denoised)
    return SolverTable(known.times, rows)


def _fit_step(terms: Sequence[Tensor], target: Tensor, guess: Tensor, ridge: float) -> Tensor:
    """Return the coefficients with which the sum of terms is nearest to a target, [terms].

    Args:
        terms: What is combined, [N, C, H, W] each.
        target: What their sum should be.
        guess: The coefficients to stay near to, float64.
        ridge: How near, relative to the mean square of the terms.
    """
    # Not every device has float64.
    rows = torch.stack([term.flatten().cpu() for term in terms]).double()
    missing = target.flatten().cpu().double() - guess @ rows
    gram = rows @ rows.T
    weight = ridge * gram.diagonal().mean()
    damped = gram + weight * torch.eye(len(rows), dtype=gram.dtype)
    return guess + torch.linalg.lstsq(damped, (rows @ missing)[:, None]).solution[:, 0]
