"""Augmentation: the random changes to a picture each time it is learnt from.

Each change of each slot is a function of (seed, purpose, step, slot): see engine/randomness.py.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from iddm_cli.profiles.settings import DataSettings

UniformFn = Callable[[str, int, Tensor], Tensor]
"""`uniform(purpose, step, slots)` draws a number in [0, 1) for each slot, [B], float32."""


class Augmentation:
    """Mirrors, turns and crops the pictures of a batch.

    Args:
        settings: Which changes, and how far they go.
        uniform: Where random numbers come from.
    """

    def __init__(self, settings: DataSettings, uniform: UniformFn) -> None:
        self.settings = settings
        self.uniform = uniform

    def __call__(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Change each picture of a batch.

        Args:
            x: float32 in [-1, 1], [B, C, H, W], of the stored size.
            step: The training step.
            slots: The slots that these pictures fill, [B].

        Returns:
            [B, C, H, W] of the size trained at; x itself where no change is asked for.
        """
        if self.settings.horizontal_flip:
            mirrored = self._draw("flip", step, slots, x) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        if self.settings.random_crop == 1 and self.settings.rotation == 0:
            return x
        theta = self._affine(x, step, slots)
        size = [len(x), x.shape[1], *self.settings.size]
        grid = affine_grid(theta, size, align_corners=False)
        return grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def _affine(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return where each picture is looked at, [B, 2, 3], as affine_grid wants it.

        Coordinates run from -1 to 1 along both sides, so turning needs the shape put right.
        """
        least = self.settings.random_crop
        scale = least + (1 - least) * self._draw("crop-size", step, slots, x)
        across = (2 * self._draw("crop-x", step, slots, x) - 1) * (1 - scale)
        down = (2 * self._draw("crop-y", step, slots, x) - 1) * (1 - scale)
        turn = 2 * self._draw("rotation", step, slots, x) - 1
        angle = turn * math.radians(self.settings.rotation)
        shape = x.shape[2] / x.shape[3]
        cos, sin = scale * angle.cos(), scale * angle.sin()
        return torch.stack([cos, -sin * shape, across, sin / shape, cos, down], 1).view(-1, 2, 3)

    def _draw(self, purpose: str, step: int, slots: Tensor, x: Tensor) -> Tensor:
        return self.uniform(purpose, step, slots).to(x.device)
