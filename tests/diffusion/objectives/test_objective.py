"""The usual objective: the denoising loss at times that are all equally likely."""

import torch
from torch import nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.objective import DenoisingObjective
from iddm_cli.diffusion.schedules import cosine_schedule


class Zero(nn.Module):
    """A network whose output is zero."""

    def forward(self, x_t, t, label):
        return torch.zeros_like(x_t)


def test_fractions_are_spread_over_all_times():
    fraction = torch.tensor([0.0, 0.249, 0.25, 0.5, 0.999, 1.0])
    t = DenoisingObjective().choose_times(cosine_schedule(4), fraction)
    assert t.tolist() == [0, 0, 1, 2, 3, 3]


def test_the_loss_is_that_of_the_denoiser():
    denoiser = Denoiser(Zero(), cosine_schedule(10), prediction="x")
    x, label = torch.ones(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    batch = (x, torch.tensor([3, 7]), torch.zeros_like(x), label)
    losses = DenoisingObjective().losses(denoiser, *batch, target=denoiser, step=0)
    assert losses.tolist() == [1.0, 1.0]
