"""A network seen through our contract and through that of diffusers' schedulers."""

import math
from collections.abc import Callable

import torch

from iddm_cli.diffusion.lookup import find_prediction
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.schedules import NoiseSchedule
from iddm_cli.profiles.choices import PREDICTIONS, SCHEDULES

SHARED_SCHEDULES = [name for name, row in SCHEDULES.items() if row.diffusers is not None]
SHARED_PREDICTIONS = [name for name, row in PREDICTIONS.items() if row.diffusers is not None]
"""Those that diffusers has as well."""

SHAPE = (2, 3, 4, 4)


def fixed_grid(times: list[int]) -> Callable[[int], list[int]]:
    """Return a time grid that has these times alone."""

    def grid(count: int) -> list[int]:
        assert count == len(times)
        return times

    return grid


LABEL = torch.zeros(SHAPE[0], dtype=torch.int64)


def their_settings(name: str, prediction: str, clip: bool | None) -> dict:
    return {
        "num_train_timesteps": 1000,
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": SCHEDULES[name].diffusers,
        "prediction_type": PREDICTIONS[prediction].diffusers,
        "timestep_spacing": "trailing",
    } | ({"clip_sample": clip} if clip is not None else {})


def double_precision(theirs):
    """Let their formulas subtract neighbouring entries without losing four digits."""
    theirs.alphas_cumprod = torch.cumprod(1 - theirs.betas.double(), dim=0)
    return theirs


class Network:
    """A fixed function of x_t and t in place of a network, seen through both contracts."""

    def __init__(self, schedule: NoiseSchedule, prediction: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pattern = torch.randn(SHAPE, generator=generator)
        self.schedule = schedule
        self.to_x = find_prediction(prediction).to_x

    def out(self, x_t: torch.Tensor, t: float) -> torch.Tensor:
        return torch.tanh(0.7 * x_t + self.pattern * (1 + t / 1000))

    def denoise(self, x_t: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        alpha, sigma = self.schedule.at(t)
        return self.to_x(self.out(x_t, int(t[0])), x_t, alpha, sigma)


def visit(table, network: Network, noises) -> list[torch.Tensor]:
    """Return the x_t of each call of the network, and the last estimate."""
    visited = []

    def denoise(x_t, t, label):
        visited.append(x_t)
        return network.denoise(x_t, t, label)

    x = sample(denoise, table, noise=noises[-1], label=LABEL, noise_at=lambda k: noises[k])
    return [*visited, x]


def visit_theirs(theirs, network: Network, y: torch.Tensor, noises=None) -> list[torch.Tensor]:
    """Return the same of a scheduler of diffusers, whose state may be scaled."""
    visited = []
    for k, t in enumerate(theirs.timesteps):
        visited.append(theirs.scale_model_input(y, t))
        options = {} if noises is None else {"variance_noise": noises[k]}
        y = theirs.step(network.out(visited[-1], float(t)), t, y, **options).prev_sample
    return [*visited, y]


def assert_same_trajectory(found, wanted, tolerance: float = 1e-4) -> None:
    """Compare trajectories in units of their largest value: without clipping, some are large."""
    assert len(found) == len(wanted)
    largest = max(1.0, *(float(x.abs().max()) for x in wanted))
    for mine, theirs in zip(found, wanted, strict=True):
        difference = float((mine - theirs.float()).abs().max())
        assert difference <= tolerance * largest


class ConstantBackbone(torch.nn.Module):
    """A backbone that always gives the same output, and records its last inputs."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x_t, t, label):
        self.inputs = x_t, t, label
        return self.output


MEAN, SPREAD = 0.3, 0.4


def gaussian(schedule: NoiseSchedule):
    """Return the exact denoiser for images whose pixels are all N(MEAN, SPREAD^2)."""

    def denoise(x_t, t, label):
        alpha, sigma = schedule.at(t)
        gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        return MEAN + gain * (x_t - alpha * MEAN)

    return denoise


def flow_matching(timesteps: int = 1000) -> NoiseSchedule:
    """Return the schedule of flow matching (arXiv:2210.02747): alpha = 1 - t, sigma = t."""
    time = torch.arange(1, timesteps + 1, dtype=torch.float64) / (timesteps + 1)
    return NoiseSchedule(1 - time, time)


def edm(timesteps: int = 1000) -> NoiseSchedule:
    """Return EDM's noise levels, sigma 0.002 to 80 (arXiv:2206.00364, eq. 5), at unit variance."""
    ramp = torch.linspace(0, 1, timesteps, dtype=torch.float64)
    sigma = (0.002 ** (1 / 7) + ramp * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    scale = (1 + sigma**2).sqrt()
    return NoiseSchedule(1 / scale, sigma / scale)


MODES, SHARES, WIDTH = (-0.8, 0.1, 0.7), (0.3, 0.4, 0.3), 0.15


def mixture(schedule: NoiseSchedule):
    """Return the exact denoiser for pixels of a mixture of three Gaussians, in float64."""
    modes, shares = (torch.tensor(each, dtype=torch.float64) for each in (MODES, SHARES))

    def denoise(x_t, t, label):
        alpha, sigma = (level[int(t[0])] for level in schedule.levels[:2])
        variance = (alpha * WIDTH) ** 2 + sigma**2
        error = x_t.double()[..., None] - alpha * modes
        weights = (shares.log() - error**2 / (2 * variance)).softmax(-1)
        return (weights * (modes + alpha * WIDTH**2 / variance * error)).sum(-1)

    return denoise


def even_log_snr(timesteps: int) -> NoiseSchedule:
    """Return noise levels from 0.02 to 100, even in their logarithm, at unit variance."""
    sigma = torch.logspace(math.log10(0.02), 2, timesteps, dtype=torch.float64)
    scale = (1 + sigma**2).sqrt()
    return NoiseSchedule(1 / scale, sigma / scale)
