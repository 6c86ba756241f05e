"""Models whose networks have one layer, so that they are traced in a moment."""

from dataclasses import replace
from functools import cache

import torch
from torch import nn

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.export.trained_model import TrainedModel
from tests.export.conftest import trained

ALL = {"guidance_rescale": 0.7, "threshold": 0.9, "guidance_interval": [0.2, 0.97]}
CLASSES = ("cat", "dog")


class OneLayer(nn.Module):
    """A network that is traced in a moment."""

    def __init__(self, seed: int, condition: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3 + condition, 3, 3, padding=1)
        self.label = nn.Embedding(3, 3)

    def forward(self, x_t, t, label):
        return 2 * self.convolution(x_t) + self.label(label)[:, :, None, None] + 1e-3 * t[0]


@cache
def denoiser(seed: int, condition: int = 0) -> Denoiser:
    schedule, network = trained().denoiser.schedule, OneLayer(seed, condition)
    made = Denoiser(network, schedule, prediction="x", condition_channels=condition)
    return made.eval().requires_grad_(False)


def model(classes=CLASSES, *, autoguided=False, **sampling) -> TrainedModel:
    made = replace(trained(classes, sampling=sampling), denoiser=denoiser(0))
    weaker = {"weaker": denoiser(1), "guide_with": "small@500"}
    return replace(made, **weaker) if autoguided else made
