"""The sampling loop: what it asks of the network and of the noise."""

import pytest
import torch

from iddm_cli.diffusion.guidance import guide
from iddm_cli.diffusion.lookup import build_schedule, build_time_grid, find_solver
from iddm_cli.diffusion.sampling import sample
from iddm_cli.profiles.choices import GENERAL_SAMPLERS
from tests.diffusion.reference import LABEL, SHAPE, fixed_grid


@pytest.mark.parametrize("weight", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("name", GENERAL_SAMPLERS)
def test_each_step_asks_the_network_once_at_its_own_time(name, weight):
    asked = []

    def network(x_t, t, label):
        asked.append((len(x_t), t.unique().tolist()))
        return 0.1 * x_t

    schedule = build_schedule("cosine", 100)
    table = find_solver(name)(schedule, build_time_grid("trailing", schedule), 7)
    sample(
        guide(network, weight, no_label=4),
        table,
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=lambda k: torch.ones(SHAPE),
    )
    images = SHAPE[0] if weight == 1 else 2 * SHAPE[0]
    assert asked == [(images, [t]) for t in table.times]


@pytest.mark.parametrize("name", ["ddim", "dpmpp-2m"])
def test_deterministic_samplers_draw_no_noise(name):
    def refuses(k):
        raise AssertionError("asked for noise")

    sample(
        lambda x_t, t, label: 0.1 * x_t,
        find_solver(name)(build_schedule("cosine", 100), fixed_grid([99, 50, 1]), 3),
        noise=torch.ones(SHAPE),
        label=LABEL,
        noise_at=refuses,
    )
