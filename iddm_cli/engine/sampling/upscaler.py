"""The upscaler: larger images from smaller ones, with a network that is conditioned on them.

An upscaled image is a function of (weights, seed, smaller image, class, noise level, sampler
settings): its noise, and that of the smaller image, are derived from its noise index.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.low_resolution import NOISE, add_noise, build_condition
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch
from iddm_cli.engine.sampling.sample_noise import sample_noise

MOST_SIZES = 8
"""Sizes of images for which a generator is kept."""


class Upscaler:
    """Upscales images with an image generator.

    Args:
        generator: The image generator of a network that upscales.
        factor: How many times larger the images become.
        noise_level: Level of the noise that smaller images get first, from 0 to 1.
    """

    def __init__(self, generator: ImageGenerator, factor: int, noise_level: float) -> None:
        self.generator = generator
        self.factor = factor
        self.noise_level = noise_level
        self._generator_of = lru_cache(MOST_SIZES)(generator.with_size)

    def upscale(self, low: Tensor, specs: Sequence[SampleSpec], *, seed: int) -> Tensor:
        """Return upscaled images, [B, H, W, C], see `to_pixels`.

        Args:
            low: Smaller images of one size, uint8 or uint16 [B, C, h, w].
            specs: Class and noise of each.
            seed: Random seed.
        """
        return self.upscale_values(normalize(low), specs, seed=seed)

    @torch.inference_mode()
    def upscale_values(self, low: Tensor, specs: Sequence[SampleSpec], *, seed: int) -> Tensor:
        """Return upscaled images, [B, H, W, C], of smaller ones in [-1, 1], [B, C, h, w]."""
        device = self.generator.denoiser.schedule.alpha.device
        low = low.to(device)
        noise = sample_noise(
            seed,
            NOISE,
            items=[spec.noise_item for spec in specs],
            step=0,
            shape=tuple(low.shape[1:]),
            device=device,
        )
        level = torch.full((len(low),), self.noise_level, device=device)
        condition = build_condition(add_noise(low, level, noise), level, self.factor)
        generator = self._generator_of((condition.shape[2], condition.shape[3]))
        generator.denoiser.eval()
        return generator.generate_batch(specs, seed, known=LowResolutionBatch(condition))
