"""The upscaler: larger images from smaller ones, with a network that is conditioned on them.

An upscaled image is a function of (weights, seed, smaller image, class, noise index, noise level,
sampler settings) alone, see `image_generator`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.data.loader.low_resolution import add_noise, build_condition
from iddm_cli.engine.image_generator import ImageGenerator, Sample, SampleSpec
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch
from iddm_cli.engine.sampling.sample_noise import sample_noise
from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder

PURPOSE = "upscale-low-resolution"
"""Of the noise of the smaller image."""

MOST_SIZES = 8
"""Sizes of images for which a generator is kept."""


class Upscaler:
    """Upscales images with an image generator.

    Args:
        generator: The image generator of a network that upscales.
        factor: How many times larger the images become.
        noise_level: Level of the noise that smaller images get first, from 0 to 1.
        divisor: Number of pixels that must divide the sides of the upscaled image; smaller images
            are padded to it by repeating their edges, and the result is cropped.
    """

    def __init__(
        self, generator: ImageGenerator, factor: int, noise_level: float, divisor: int = 1
    ) -> None:
        self.generator = generator
        self.factor = factor
        self.noise_level = noise_level
        self.divisor = divisor
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
        height, width = (side * self.factor for side in low.shape[2:])
        condition = self._build_condition(low, specs, seed)
        generator = self._generator_of((condition.shape[2], condition.shape[3]))
        generator.denoiser.eval()
        pixels = generator.generate_batch(specs, seed, known=LowResolutionBatch(condition))
        return pixels[:, :height, :width].contiguous()

    def _build_condition(self, low: Tensor, specs: Sequence[SampleSpec], seed: int) -> Tensor:
        device = self.generator.denoiser.schedule.alpha.device
        down, right = (-side % self._low_divisor for side in low.shape[2:])
        low = functional.pad(low.to(device), (0, right, 0, down), mode="replicate")
        noise = sample_noise(
            seed,
            PURPOSE,
            items=[spec.noise_item for spec in specs],
            step=0,
            shape=tuple(low.shape[1:]),
            device=device,
        )
        level = torch.full((len(low),), self.noise_level, device=device)
        return build_condition(add_noise(low, level, noise), level, self.factor)

    @property
    def _low_divisor(self) -> int:
        """Number of pixels that must divide the sides of a smaller image."""
        return next(n for n in range(1, self.divisor + 1) if n * self.factor % self.divisor == 0)


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
