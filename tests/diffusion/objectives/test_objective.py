"""The usual objective: the denoising loss."""

import torch
from torch import nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.objectives.objective import DenoisingObjective
from iddm_cli.diffusion.schedules import cosine_schedule


class Zero(nn.Module):
    """A network whose output is zero."""

    def forward(self, x_t, t, label):
        return torch.zeros_like(x_t)


def test_the_loss_is_that_of_the_denoiser():
    denoiser = Denoiser(Zero(), cosine_schedule(10), prediction="x")
    x, label = torch.ones(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    batch = (x, torch.tensor([3, 7]), torch.zeros_like(x), label)
    losses = DenoisingObjective().losses(denoiser, *batch, target=denoiser, step=0)
    assert losses.tolist() == [1.0, 1.0]
