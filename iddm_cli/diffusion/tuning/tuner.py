"""The tuner: for a number of network calls, the sampler that is nearest to a fine one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.diffusion.time_grids import TimeGrid, trailing
from iddm_cli.diffusion.tuning.fine_sampler import (
    Trajectories,
    build_teacher,
    fix_times,
    measure_error,
    record_trajectories,
    sample_end,
)
from iddm_cli.diffusion.tuning.fitting import fit_table
from iddm_cli.diffusion.tuning.grid_search import find_cheapest_path, measure_jumps

KNOWN_SAMPLER = "dpmpp-2m"
"""What a tuned sampler is compared with, and what its coefficients are drawn to."""

MOST_FITTED = 64
"""Noises that coefficients are fitted to: 32 give the same error within 2 %, as each has thousands
of values, and a step six coefficients."""


HELD_OUT = 8
"""One of so many noises is held out."""


@dataclass(frozen=True, eq=False)
class TunedSampler:
    """A sampler that is tuned to a network.

    Attributes:
        table: Its steps.
        error: How far its images are from the teacher's for noises that nothing was tuned to: the
            root of the mean square of the difference, values in [-1, 1].
        untuned_error: The same for as many calls of `KNOWN_SAMPLER` on an even time grid.
        is_fitted: Whether the fit lowered that error; else the table is the known sampler's, on
            the time grid of the lower error.
    """

    table: SolverTable
    error: float
    untuned_error: float
    is_fitted: bool


class SamplerTuner:
    """Tunes samplers of few calls to the trajectories of a fine one.

    An eighth of the noises is held out: neither times nor coefficients are tuned to them.

    Args:
        denoise: The denoiser as it samples, with guidance and clipping; all images of a call have
            the same time.
        schedule: Its noise schedule.
        noise: Noises, [N, C, H, W], at least 8.
        label: Class of each image, [N].
        teacher_calls: Network calls of the fine sampler.
    """

    def __init__(
        self,
        denoise: Denoise,
        schedule: NoiseSchedule,
        noise: Tensor,
        label: Tensor,
        *,
        teacher_calls: int,
    ) -> None:
        assert len(noise) >= HELD_OUT, "some are held out"
        self._denoise = denoise
        self._schedule = schedule
        self._noise = noise
        self._label = label
        self._seen = len(noise) - len(noise) // HELD_OUT
        self._fitted = min(self._seen, MOST_FITTED)
        self.teacher_table = build_teacher(schedule, teacher_calls)
        self._teacher: Trajectories | None = None
        self._costs = torch.zeros(0)

    @property
    def most_calls(self) -> int:
        """The largest number of calls that can be tuned: half of the teacher's."""
        return len(self.teacher_table) // 2

    def count_images(self, calls: int) -> int:
        """Return how many estimates tuning so many calls takes, where the fit is kept."""
        return calls * (self._fitted + 2 * (len(self._noise) - self._seen))

    def follow_teacher(self) -> None:
        """Record the teacher's trajectories and the costs of all jumps along them."""
        teacher = record_trajectories(self._denoise, self.teacher_table, self._noise, self._label)
        seen = slice(self._seen)
        self._costs = measure_jumps(
            self._schedule,
            Trajectories(
                teacher.times,
                [state[seen] for state in teacher.states],
                [denoised[seen] for denoised in teacher.denoised],
            ),
        )
        self._teacher = teacher

    def tune(self, calls: int) -> TunedSampler:
        """Return the sampler of so many calls that is nearest to the teacher.

        A fit that does not lower the error of the held-out noises is not kept.

        Args:
            calls: Network calls, in [2, `most_calls`].
        """
        assert 2 <= calls <= self.most_calls
        assert self._teacher is not None, "follow_teacher comes first"
        path = find_cheapest_path(self._costs, calls)
        times = [self._teacher.times[state] for state in path]
        known = dpmpp_2m(self._schedule, fix_times(self._schedule, times), calls)
        even = dpmpp_2m(self._schedule, TimeGrid(trailing, self._schedule), calls)
        fitted = fit_table(
            self._denoise,
            known,
            [self._teacher.states[state][: self._fitted] for state in [*path[1:], -1]],
            self._noise[: self._fitted],
            self._label[: self._fitted],
        )
        untuned_error, error = self._measure(even), self._measure(fitted)
        if error < untuned_error:
            return TunedSampler(fitted, error, untuned_error, is_fitted=True)
        known_error = self._measure(known)
        best, table = min((untuned_error, even), (known_error, known), key=lambda pair: pair[0])
        return TunedSampler(table, best, untuned_error, is_fitted=False)

    def _measure(self, table: SolverTable) -> float:
        """Return a sampler's distance from the teacher for the noises that are held out."""
        assert self._teacher is not None
        held_out = slice(self._seen, None)
        images = sample_end(self._denoise, table, self._noise[held_out], self._label[held_out])
        return measure_error(images, self._teacher.states[-1][held_out])
