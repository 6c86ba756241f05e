"""What a solver is, and what all of them need."""

from typing import Any, Protocol

from iddm_cli.diffusion.schedules import CLEAN, NoiseLevels, NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.time_grids import TimeGrid

ALMOST_NOISE = 1000.0
"""Level sigma / alpha from which on x_t is almost pure noise.

An estimate is the average of all images there and hardly changes, while methods that correct a step
by the difference of the estimates at its ends multiply it by the ratio of the levels. The cosine
schedule ends at 20,000; EDM's levels end at 80, and DDPM's betas at 157.
"""


class Solver(Protocol):
    """From a noise schedule and a time grid to a table of coefficients."""

    def __call__(
        self, schedule: NoiseSchedule, grid: TimeGrid, calls: int, **options: Any
    ) -> SolverTable:
        """Return a table of `calls` rows.

        Args:
            schedule: The noise schedule.
            grid: `grid(count)` returns so many falling times.
            calls: How often the network is called, at least once.
            options: The sampling settings that the sampler's row names.
        """
        ...


def find_ends(schedule: NoiseSchedule, times: list[int]) -> tuple[NoiseLevels, NoiseLevels]:
    """Return the noise levels where each step starts and where it ends."""
    return schedule.levels_at(times), schedule.levels_at([*times[1:], CLEAN])


def count_noisy(schedule: NoiseSchedule, times: list[int]) -> int:
    """Return how many of these times are above `ALMOST_NOISE`."""
    is_noisy = schedule.levels.sigma > ALMOST_NOISE * schedule.levels.alpha
    return sum(bool(is_noisy[time]) for time in times)
