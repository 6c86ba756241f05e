"""Augmentation: random flips, rotations and crops of the training images.

The change of each slot is a function of (seed, purpose, step, slot); see engine/randomness.py.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from iddm_cli.data.loader.transfer import copy_to
from iddm_cli.profiles.settings import DataSettings

UniformFn = Callable[[str, int, Tensor], Tensor]
"""`uniform(purpose, step, slots)` returns a random number in [0, 1) for each slot, float32 [B]."""


class Augmentation:
    """Flips, rotates and crops the images of a batch.

    Args:
        settings: Which changes are made, and their ranges.
        uniform: Source of random numbers.
    """

    def __init__(self, settings: DataSettings, uniform: UniformFn) -> None:
        self.settings = settings
        self._random = uniform

    def __call__(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return a batch with each image changed.

        Args:
            x: Images of the stored size, float32 in [-1, 1], [B, C, H, W].
            step: The training step.
            slots: Slots of the images in the global batch, [B].

        Returns:
            Images of the training size, [B, C, H, W]; x itself if no change is enabled.
        """
        if self.settings.horizontal_flip:
            flipped = copy_to(x.device, self.choose_flips(step, slots))
            x = torch.where(flipped[:, None, None, None], x.flip(3), x)
        if self.settings.random_crop == 1 and self.settings.rotation == 0:
            return x
        theta = self._affine(x, step, slots)
        size = [len(x), x.shape[1], *self.settings.size]
        grid = affine_grid(theta, size, align_corners=False)
        return grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def choose_flips(self, step: int, slots: Tensor) -> Tensor:
        """Return which images of a batch are flipped, where any are, bool [B]."""
        return self._random("flip", step, slots) < 0.5

    def _affine(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return the affine maps from output to input coordinates for affine_grid, [B, 2, 3].

        Coordinates run from -1 to 1 along both sides, so rotation must correct the aspect ratio.
        """
        smallest = self.settings.random_crop
        scale = smallest + (1 - smallest) * self._uniform("crop-size", step, slots, x)
        offset_x = (2 * self._uniform("crop-x", step, slots, x) - 1) * (1 - scale)
        offset_y = (2 * self._uniform("crop-y", step, slots, x) - 1) * (1 - scale)
        fraction = 2 * self._uniform("rotation", step, slots, x) - 1
        angle = fraction * math.radians(self.settings.rotation)
        aspect = x.shape[2] / x.shape[3]
        cos, sin = scale * angle.cos(), scale * angle.sin()
        theta = [cos, -sin * aspect, offset_x, sin / aspect, cos, offset_y]
        return torch.stack(theta, 1).view(-1, 2, 3)

    def _uniform(self, purpose: str, step: int, slots: Tensor, x: Tensor) -> Tensor:
        return copy_to(x.device, self._random(purpose, step, slots))
