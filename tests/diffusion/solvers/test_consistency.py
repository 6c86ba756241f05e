"""Multistep consistency sampling, compared with diffusers' scheduler."""

import pytest
import torch
from diffusers import LCMScheduler
from torch import Tensor

from iddm_cli.diffusion.lookup import build_schedule, build_time_grid
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.solvers.consistency import consistency
from tests.diffusion.reference import Network, double_precision, their_settings

SCHEDULE = build_schedule("cosine", 1000)


def generate(denoise, calls: int, noises: list[Tensor]) -> Tensor:
    return sample(
        denoise,
        consistency(SCHEDULE, build_time_grid("trailing", SCHEDULE), calls),
        noise=noises[-1],
        label=torch.zeros(2, dtype=torch.int64),
        noise_at=lambda k: noises[k],
    )


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_it_takes_the_steps_of_latent_consistency_models(calls, noises, monkeypatch):
    network = Network(SCHEDULE, "v")
    settings = {**their_settings("cosine", "v", True), "clip_sample": True}
    theirs = double_precision(LCMScheduler(**settings))
    times = build_time_grid("trailing", SCHEDULE)(calls)
    theirs.set_timesteps(timesteps=times)
    x_t, added = noises[-1].double(), iter(noises)
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_lcm.randn_tensor",
        lambda *_args, **_named: next(added).double(),
    )
    for t in times:
        step = theirs.step(network.out(x_t, t), t, x_t)
        x_t = step.prev_sample

    def denoise(x_t, t, label):
        return network.denoise(x_t, t, label).clamp(-1, 1)

    torch.testing.assert_close(generate(denoise, calls, noises), x_t.float(), atol=1e-4, rtol=0)


def test_one_call_is_the_estimate_itself(noises):
    network = Network(SCHEDULE, "v")
    estimate = network.denoise(noises[-1], torch.tensor([999, 999]), torch.zeros(2).long())
    torch.testing.assert_close(generate(network.denoise, 1, noises), estimate)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_an_exact_consistency_function_keeps_the_distribution(calls):
    """Of normal pixels with mean 0 and spread 1, whose paths are straight: f(x_t, t) is x_t."""
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(2, 1, 100, 100, generator=generator) for _ in range(calls)]
    found = generate(lambda x_t, t, label: x_t, calls, noises)
    assert float(found.std()) == pytest.approx(1, abs=0.03)
    assert float(found.mean()) == pytest.approx(0, abs=0.03)
