"""The upscaler: larger images from smaller ones, with a network that is conditioned on them.

An upscaled image is a function of (weights, seed, smaller image, class, noise index, noise level,
sampler settings) alone, see `image_generator`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.engine.image_generator import ImageGenerator, Sample, SampleSpec
from iddm_cli.engine.sampling.enlargement import Enlargement
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch
from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder

MOST_SIZES = 8
"""Sizes of images for which a generator is kept."""


class Upscaler:
    """Upscales images with an image generator.

    Args:
        generator: The image generator of a network that upscales.
        factor: How many times larger the images become.
        noise_level: Level of the noise that smaller images get first, from 0 to 1.
        divisor: Number of pixels that must divide the sides of the upscaled image.
    """

    def __init__(
        self, generator: ImageGenerator, factor: int, noise_level: float, divisor: int = 1
    ) -> None:
        self.generator = generator
        self.enlargement = Enlargement(factor, divisor)
        self.noise_level = noise_level
        self._generator_of = lru_cache(MOST_SIZES)(generator.with_size)

    @property
    def factor(self) -> int:
        """How many times larger the images become."""
        return self.enlargement.factor

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
        height, width = self.enlargement.find_size((low.shape[2], low.shape[3]))
        condition = self.enlargement.build_condition(
            low,
            [spec.noise_item for spec in specs],
            seed=seed,
            noise_level=self.noise_level,
            device=self.generator.denoiser.schedule.alpha.device,
        )
        generator = self._generator_of((condition.shape[2], condition.shape[3]))
        generator.denoiser.eval()
        pixels = generator.generate_batch(specs, seed, known=LowResolutionBatch(condition))
        return pixels[:, :height, :width].contiguous()


class Cascade:
    """Generates images with one network, and upscales them with another.

    Args:
        base: The image generator of the smaller images.
        upscaler: What upscales them.
        labels: The upscaler's label for each of the base's, "no label" included.
        batch_size: How many images are upscaled at once.
    """

    def __init__(
        self,
        base: ImageGenerator,
        upscaler: Upscaler,
        labels: Sequence[int],
        batch_size: int,
    ) -> None:
        self.base = base
        self.upscaler = upscaler
        self.labels = labels
        self.batch_size = batch_size

    @property
    def is_invariant(self) -> bool:
        """Whether an image depends on nothing else in its batch, but for rounding in float32."""
        return self.base.is_invariant and self.upscaler.generator.is_invariant

    @property
    def precision(self) -> str:
        """The precision of the network that upscales."""
        return self.upscaler.generator.precision

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        seed: int,
        batch_size: int,
        recorder: TrajectoryRecorder[SampleSpec] | None = None,
    ) -> Iterator[Sample]:
        """Yield the upscaled images in the order of their specifications.

        Args:
            specs: The images.
            seed: Random seed.
            batch_size: How many smaller images are computed at once.
            recorder: Records the trajectories of some smaller images.
        """
        smaller = self.base.generate(specs, seed=seed, batch_size=batch_size, recorder=recorder)
        samples = [sample.pixels for sample in smaller]
        for start in range(0, len(specs), self.batch_size):
            batch = specs[start : start + self.batch_size]
            pixels = torch.stack(samples[start : start + self.batch_size]).permute(0, 3, 1, 2)
            low = pixels.float() / (self.base.levels / 2) - 1
            own = [SampleSpec(self.labels[one.label], one.index, one.noise_item) for one in batch]
            upscaled = self.upscaler.upscale_values(low, own, seed=seed).cpu()
            yield from (Sample(one, image) for one, image in zip(batch, upscaled, strict=True))
