"""Time grids: at which times of the noise schedule a sampler's steps start.

Each grid is a function that spreads so many times over the schedule, from the highest down.
`TimeGrid` makes them all different, so that any grid works for up to as many steps as there are
times.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import NoiseSchedule

Spread = Callable[[NoiseSchedule, int, int], list[int]]
"""`spread(schedule, highest, count)` returns `count` times in [0, highest], never rising, of which
the first is `highest`."""

KARRAS_RHO = 7.0
"""The exponent of Karras et al. 2022 (arXiv:2206.00364, section 3)."""


class TimeGrid:
    """From a number of steps to the times that they start from.

    Args:
        spread: How they are spread.
        schedule: The noise schedule.
        highest: The first time; None: the last entry of the schedule, almost pure noise.
    """

    def __init__(self, spread: Spread, schedule: NoiseSchedule, highest: int | None = None) -> None:
        self._spread = spread
        self._schedule = schedule
        self.highest = len(schedule) - 1 if highest is None else highest

    def __call__(self, count: int) -> list[int]:
        """Return `count` times, strictly falling from the highest, `count` in [1, highest + 1]."""
        assert 1 <= count <= self.highest + 1, "there are fewer times"
        return separate(self._spread(self._schedule, self.highest, count))


def separate(times: Sequence[int]) -> list[int]:
    """Return strictly falling times, at least 0, near these.

    Rounding makes neighbouring times of a fine grid equal. The later one moves down, or the earlier
    ones up, where there is no room below.

    Args:
        times: Never rising; the first is at least `len(times) - 1`.
    """
    apart: list[int] = []
    for k, time in enumerate(times):
        below = apart[-1] - 1 if apart else time
        apart.append(max(len(times) - 1 - k, min(time, below)))
    return apart


def trailing(_: NoiseSchedule, highest: int, count: int) -> list[int]:
    """Spread steps evenly in time, so that the last is as long as the others.

    "Trailing" spacing (Lin et al. 2024, arXiv:2305.08891, table 2).
    """
    return [round(highest + 1 - k * (highest + 1) / count) - 1 for k in range(count)]


def linspace(_: NoiseSchedule, highest: int, count: int) -> list[int]:
    """Spread steps evenly in time, so that the last starts from time 0 (same table)."""
    return [round(highest - k * highest / max(1, count - 1)) for k in range(count)]


def log_snr(schedule: NoiseSchedule, highest: int, count: int) -> list[int]:
    """Spread steps evenly in the logarithm of the SNR, as DPM-Solver does.

    Lu et al. 2022, arXiv:2206.00927, section 3.
    """
    levels = schedule.levels.log_snr
    return _nearest(levels, torch.lerp(levels[highest], levels[0], _shares(count)))


def karras(schedule: NoiseSchedule, highest: int, count: int) -> list[int]:
    """Spread steps evenly in a root of the noise level (Karras et al. 2022, arXiv:2206.00364).

    Its equation 5, for the noise level sigma / alpha of the image without scaling.
    """
    levels = schedule.levels.log_snr
    roots = (-levels / 2 / KARRAS_RHO).exp()
    sigma = torch.lerp(roots[highest], roots[0], _shares(count)) ** KARRAS_RHO
    return _nearest(levels, -2 * sigma.log())


def _shares(count: int) -> Tensor:
    """Return how far along each step is, from 0 to 1, [count]."""
    return torch.arange(count, dtype=torch.float64) / max(1, count - 1)


def _nearest(levels: Tensor, wanted: Tensor) -> list[int]:
    """Return the times whose levels, falling, are nearest to those wanted."""
    times: list[int] = (levels - wanted[:, None]).abs().argmin(dim=1).tolist()
    return times
