"""The teacher of a tuned sampler: a fine sampler, and the states that it goes through."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.diffusion.solver_table import SolverTable
from iddm_cli.diffusion.solvers.dpmpp import dpmpp_2m
from iddm_cli.diffusion.time_grids import TimeGrid

TIME_SHARE = 0.5
"""How far the teacher's times are even in time, and how far in the logarithm of the SNR."""


@dataclass(frozen=True)
class Trajectories:
    """The states of some images at every step of a sampler.

    Attributes:
        times: The time that each step starts from, [S].
        states: x_t where each step starts, and at last the image, S + 1 of [N, C, H, W].
        denoised: The estimate of x of each step, S of the same shape.
    """

    times: list[int]
    states: list[Tensor]
    denoised: list[Tensor]


def record_trajectories(
    denoise: Denoise, table: SolverTable, noise: Tensor, label: Tensor
) -> Trajectories:
    """Sample images with a deterministic sampler, and return all states.

    Args:
        denoise: The denoiser.
        table: The sampler's steps.
        noise: Standard normal noise, [N, C, H, W].
        label: Class of each image, [N].
    """
    states: list[Tensor] = []
    estimates: list[Tensor] = []

    def watch(x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        states.append(x_t)
        estimates.append(denoise(x_t, t, label))
        return estimates[-1]

    end = sample_end(watch, table, noise, label)
    return Trajectories(table.times, [*states, end], estimates)


def sample_end(denoise: Denoise, table: SolverTable, noise: Tensor, label: Tensor) -> Tensor:
    """Return the images of a deterministic sampler, [N, C, H, W]."""
    assert not table.noisy_steps, "a stochastic sampler has no trajectory"
    return sample(denoise, table, noise=noise, label=label, noise_at=lambda _: noise)


def build_teacher(schedule: NoiseSchedule, calls: int) -> SolverTable:
    """Return a fine sampler, whose trajectories a sampler of few calls is to follow.

    Its times are also those among which the few are searched, so they are spread half evenly in
    time and half in the logarithm of the SNR: either end of the schedule has some.

    Args:
        schedule: The noise schedule.
        calls: Calls of the network, at most one per time of the schedule.
    """
    return dpmpp_2m(schedule, TimeGrid(spread_over_both, schedule), min(calls, len(schedule)))


def spread_over_both(schedule: NoiseSchedule, highest: int, count: int) -> list[int]:
    """Spread times evenly over a mean of time and of the logarithm of the SNR."""
    log_snr = schedule.levels.log_snr[: highest + 1]
    time = torch.arange(highest + 1, dtype=torch.float64) / max(1, highest)
    noise = (log_snr[0] - log_snr) / (log_snr[0] - log_snr[-1]).clamp(min=1e-9)
    measure = torch.lerp(noise, time, TIME_SHARE)
    wanted = torch.linspace(1, 0, count, dtype=torch.float64)
    times: list[int] = (measure - wanted[:, None]).abs().argmin(dim=1).tolist()
    return [highest, *times[1:]]


def fix_times(schedule: NoiseSchedule, times: list[int]) -> TimeGrid:
    """Return the grid that consists of given times, falling, the first the last of the schedule."""
    return TimeGrid(lambda *_: times, schedule)


def measure_error(images: Tensor, target: Tensor) -> float:
    """Return the root of the mean square of the difference of images, both clipped to [-1, 1]."""
    return float((images.clamp(-1, 1) - target.clamp(-1, 1)).square().mean().sqrt())
