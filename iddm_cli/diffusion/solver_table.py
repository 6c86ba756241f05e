"""Solver tables: a sampler as numbers.

Every step of every sampler is a weighted sum of the tensors at hand:

    next x_t = c_x * x_t + c_denoised * denoised
             + c_prev1 * (kept one step before) + c_prev2 * (two before) + ... + c_prev4 * (four)
             + c_noise * new noise

A step calls the network once, and keeps one tensor for later steps: its estimate of x or, where a
method extrapolates something else, k_x * x_t + k_denoised * denoised, such as the noise that the
estimate implies. A method that calls the network twice a step is two steps of the table: where the
second call starts, x_t and what was kept determine where the first one started.

So a sampler is a function that returns the coefficients of its steps, checked against its paper,
and `advance` is the only step function. Images at different steps, or of different samplers, can
advance as one batch; and a program that has the table needs no code of iddm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

MAX_HISTORY = 4
"""Earlier tensors that a step can use: linear multistep solvers of fourth order need three, and
PLMS, whose second call at the start is of no further use, four."""

COLUMNS = ("c_x", "c_denoised", *(f"c_prev{j + 1}" for j in range(MAX_HISTORY)), "c_noise")


@dataclass(frozen=True, eq=False)
class SolverTable:
    """The steps of a sampler: calls of the network. The last ends at the clean end.

    Attributes:
        times: The time that each step starts from, never rising, indices into the schedule.
        coefficients: One row for each step, its columns as in `COLUMNS`, [S, 7], float32, on the
            CPU. Step k uses at most what k earlier steps kept.
        keeps: What each step keeps for later ones, k_x and k_denoised, [S, 2], float32, on the
            CPU; None: its estimate of x.
    """

    times: list[int]
    coefficients: Tensor
    keeps: Tensor | None = None

    @classmethod
    def from_columns(
        cls,
        times: list[int],
        *,
        c_x: Tensor,
        c_denoised: Tensor,
        c_prev: Sequence[Tensor] = (),
        c_noise: Tensor | None = None,
        keeps: tuple[Tensor, Tensor] | None = None,
    ) -> "SolverTable":
        """Return the table with these columns, [S], float64; those left out are zero.

        Without `keeps` (k_x and k_denoised), steps keep their estimates of x.
        """
        zero = torch.zeros_like(c_x)
        unused = [zero] * (MAX_HISTORY - len(c_prev))
        columns = [c_x, c_denoised, *c_prev, *unused, zero if c_noise is None else c_noise]
        kept = None if keeps is None else torch.stack(keeps, dim=1).float()
        return cls(times, torch.stack(columns, dim=1).float(), kept)

    def __post_init__(self) -> None:
        assert self.coefficients.shape == (len(self.times), len(COLUMNS)), "one row for each step"
        too_early = self.coefficients[:MAX_HISTORY, 2 : 2 + MAX_HISTORY].triu()
        assert not too_early.any(), "a step uses an estimate from before the first step"
        assert self.keeps is None or self.keeps.shape == (len(self.times), 2)

    def __len__(self) -> int:
        return len(self.times)

    @cached_property
    def history(self) -> int:
        """How many tensors have to be kept, in [0, `MAX_HISTORY`]."""
        used = self.coefficients[:, 2 : 2 + MAX_HISTORY].any(dim=0).tolist()
        return max((j + 1 for j in range(MAX_HISTORY) if used[j]), default=0)

    @cached_property
    def noisy_steps(self) -> frozenset[int]:
        """The steps that add noise."""
        return frozenset(self.coefficients[:, -1].nonzero().flatten().tolist())

    def compact(self, history: int | None = None) -> tuple[tuple[str, ...], Tensor]:
        """Return the columns of the first `history` kept tensors, and all others.

        Args:
            history: At least the table's own, which is the default.

        Returns:
            Their names, and the table, [S, 3 + history].
        """
        history = self.history if history is None else history
        assert self.history <= history <= MAX_HISTORY
        kept = [*range(2 + history), len(COLUMNS) - 1]
        return tuple(COLUMNS[i] for i in kept), self.coefficients[:, kept]

    def keep(self, k: int, x_t: Tensor, denoised: Tensor) -> Tensor:
        """Return what step k keeps for later ones.

        Args:
            k: The step.
            x_t: Where it starts, [..., C, H, W].
            denoised: Its estimate of x, same shape.
        """
        if self.keeps is None:
            return denoised
        k_x, k_denoised = self.keeps[k].tolist()
        return k_x * x_t + k_denoised * denoised


def advance(
    coefficients: Tensor, x_t: Tensor, denoised: Tensor, previous: Iterable[Tensor]
) -> Tensor:
    """Take one step, but for the new noise.

    Args:
        coefficients: Those of the step, [7], or of each image's own step, [B, 7].
        x_t: Where the step starts, [B, C, H, W].
        denoised: The estimate of x at x_t, same shape.
        previous: What the steps before kept, the newest first, each of the same shape: at least
            as many as the coefficients use.
    """
    c_x, c_denoised, *c_prev, _ = coefficients[..., None, None, None].unbind(-4)
    x = c_x * x_t + c_denoised * denoised
    for c, earlier in zip(c_prev, previous, strict=False):
        x = x + c * earlier
    return x
