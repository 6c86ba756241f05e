"""Time distributions: which times, and so which noise levels, training looks at how often.

Each maps numbers that are uniform in [0, 1) to times: it is the quantile function of a
distribution, so numbers that are stratified give stratified times.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from iddm_cli.diffusion.schedules import NoiseSchedule

SampleTimes = Callable[[Tensor], Tensor]
"""From numbers in [0, 1), [B], float32, to times, [B], int64, on the same device."""

EDGE = 2.0**-25
"""Half the distance of two random numbers: quantiles of 0 and 1 would be infinite."""


def uniform_times(schedule: NoiseSchedule, *, mean: float, deviation: float) -> SampleTimes:
    """All times equally often (DDPM, arXiv:2006.11239, algorithm 1)."""
    timesteps = len(schedule)
    return lambda fraction: (fraction * timesteps).long().clamp(max=timesteps - 1)


def logit_normal_times(schedule: NoiseSchedule, *, mean: float, deviation: float) -> SampleTimes:
    """Times whose logit is normal (Esser et al. 2024, arXiv:2403.03206, section 3.1).

    Times in the middle of the schedule come more often than those at its ends.

    Args:
        schedule: The noise schedule; its times are taken as shares of T.
        mean: Mean of log(share / (1 - share)); more than 0 means more noise.
        deviation: Its standard deviation.
    """
    timesteps = len(schedule)

    def sample(fraction: Tensor) -> Tensor:
        share = torch.sigmoid(mean + deviation * _normal_quantile(fraction))
        return (share * timesteps).long().clamp(max=timesteps - 1)

    return sample


def log_normal_times(schedule: NoiseSchedule, *, mean: float, deviation: float) -> SampleTimes:
    """Times whose noise has a normal logarithm (EDM, Karras et al. 2022, arXiv:2206.00364).

    EDM's noise level is sigma / alpha here: of images in [-1, 1], whose standard deviation it takes
    as 0.5. Levels beyond the ends of the schedule become its ends.

    Args:
        schedule: The noise schedule.
        mean: Mean of log(sigma / alpha), P_mean in table 1.
        deviation: Its standard deviation, P_std.
    """
    levels = -schedule.levels.log_snr / 2
    halfway = ((levels[1:] + levels[:-1]) / 2).float()

    def sample(fraction: Tensor) -> Tensor:
        level = mean + deviation * _normal_quantile(fraction)
        return torch.bucketize(level, halfway.to(level.device))

    return sample


def _normal_quantile(fraction: Tensor) -> Tensor:
    """Return the quantiles of the standard normal distribution."""
    return math.sqrt(2) * torch.erfinv(2 * fraction.clamp(EDGE, 1 - EDGE) - 1)
