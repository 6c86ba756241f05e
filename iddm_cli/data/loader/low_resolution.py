"""Low-resolution images: what a network that upscales is conditioned on.

Super-resolution by a cascade (Ho et al. 2022, arXiv:2106.15282): the network sees x_t beside the
smaller image, enlarged to the size of x_t. In training the smaller image gets noise of a random
level, so that the network also corrects the errors of a model that generated it (section 4.2, there
conditioning augmentation). The level is one more channel, as in FFDNet (arXiv:1710.04026).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

UniformFn = Callable[[str, int, Tensor], Tensor]
"""`uniform(purpose, step, slots)` returns random numbers in [0, 1), float32 [B], on the CPU."""

NormalFn = Callable[[str, int, Tensor, tuple[int, ...]], Tensor]
"""`normal(purpose, step, slots, shape)` returns noise on the device of the slots, [B, *shape]."""

LEVEL, NOISE = "low-resolution-level", "low-resolution-noise"
"""Purposes of the random numbers."""


def reduce_size(x: Tensor, factor: int) -> Tensor:
    """Return images, [B, C, H, W] in [-1, 1], with sides divided by a factor, antialiased."""
    size = [side // factor for side in x.shape[2:]]
    return functional.interpolate(x, size, mode="bicubic", antialias=True).clamp(-1, 1)


def enlarge(low: Tensor, factor: int) -> Tensor:
    """Return images, [B, C, h, w], with sides multiplied by a factor, interpolated bicubically."""
    return functional.interpolate(low, scale_factor=float(factor), mode="bicubic")


def add_noise(low: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """Return images with noise of some levels: sqrt(1 - s^2) low + s noise, [B, C, h, w].

    Args:
        low: Images in [-1, 1], [B, C, h, w].
        level: The level s of each, from 0 (none) to 1 (nothing else), [B].
        noise: Standard normal noise, [B, C, h, w].
    """
    s = level.view(-1, 1, 1, 1)
    return (1 - s.square()).sqrt() * low + s * noise


def build_condition(low: Tensor, level: Tensor, factor: int) -> Tensor:
    """Return the condition channels of images, [B, C + 1, h * factor, w * factor].

    Args:
        low: Smaller images with noise, [B, C, h, w].
        level: Its level, [B], which becomes the last channel.
        factor: How many times larger the images are.
    """
    large = enlarge(low, factor)
    plane = level.view(-1, 1, 1, 1).expand(-1, 1, *large.shape[2:])
    return torch.cat([large, plane.to(large.dtype)], dim=1)


class LowResolutionCondition:
    """Makes the condition channels of training images.

    Args:
        factor: How many times larger the images are than the smaller ones.
        highest_noise: The highest level of noise, in [0, 1]; all below are equally frequent.
        uniform: Source of uniform random numbers.
        normal: Source of noise.
    """

    def __init__(
        self, factor: int, highest_noise: float, uniform: UniformFn, normal: NormalFn
    ) -> None:
        self.factor = factor
        self.highest_noise = highest_noise
        self._uniform = uniform
        self._normal = normal

    def __call__(self, x: Tensor, step: int, slots: Tensor) -> Tensor:
        """Return the condition channels of a batch, [B, C + 1, H, W].

        Args:
            x: Images in [-1, 1], [B, C, H, W].
            step: The training step.
            slots: Slots of the images in the global batch, [B], on the CPU.
        """
        low = reduce_size(x, self.factor)
        level = (self.highest_noise * self._uniform(LEVEL, step, slots)).to(x.device)
        noise = self._normal(NOISE, step, slots.to(x.device), tuple(low.shape[1:]))
        return build_condition(add_noise(low, level, noise), level, self.factor)
