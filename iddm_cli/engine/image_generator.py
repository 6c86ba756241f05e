"""The image generator: samples images from a trained denoiser.

An image is a function of (weights, seed, index, class, sampler settings, precision) alone: its
noise is derived from its index, or from index and class, so the batch that it is generated in does
not change it. In fp32 that holds up to rounding, which now and then changes a pixel by one level.
In bf16 and fp16 rounding would change whole images, so there the network computes blocks of one
size, see `reduced_precision.batch_invariant`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iddm_cli.diffusion.denoiser import Denoise, Denoiser, condition_on
from iddm_cli.diffusion.guidance import SamplingNetworks, build_step_denoiser, find_guided_steps
from iddm_cli.diffusion.sampling import sample
from iddm_cli.diffusion.windowed_denoiser import WindowedDenoiser, WindowSettings
from iddm_cli.engine.acceleration.cuda_graphs import graph_calls
from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
from iddm_cli.engine.reduced_precision.batch_invariant import (
    BatchInvariantDenoiser,
    choose_blocks,
    make_batch_invariant,
)
from iddm_cli.engine.sampling.crop_places import CropPlaces, PlacedBatch
from iddm_cli.engine.sampling.image_condition import ImageCondition
from iddm_cli.engine.sampling.known_images import KnownImages
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.engine.sampling.low_resolution_batch import make_blank_batch
from iddm_cli.engine.sampling.sample_noise import NoisePath, own_noise_index, sample_noise
from iddm_cli.engine.sampling.solver_choice import build_partial_table
from iddm_cli.engine.sampling.trajectories import TrajectoryRecorder
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.value_range import DEEP_LEVELS


@dataclass(frozen=True)
class SampleSpec:
    """One image to generate.

    Attributes:
        label: Its class; num_classes for none.
        index: Its index.
        noise: Where its noise comes from, see `sample_noise`; None: from its index, so that it
            starts from the same noise in every class.
        source: The known image that it starts from, see `KnownImages`; None: it starts from noise.
    """

    label: int
    index: int
    noise: int | NoisePath | None = None
    source: int | None = None

    @property
    def noise_item(self) -> int | NoisePath:
        """Where its noise comes from."""
        return self.index if self.noise is None else self.noise


def specify_with_own_noise(label: int, index: int) -> SampleSpec:
    """Return an image that shares its noise with no other class."""
    return SampleSpec(label, index, own_noise_index(label, index))


@dataclass(frozen=True)
class Sample:
    """One generated image: its specification and its pixels, [H, W, C], see `to_pixels`."""

    spec: SampleSpec
    pixels: Tensor


def to_pixels(x: Tensor, levels: int = 255) -> Tensor:
    """Convert values in about [-1, 1] to levels: clamp, then round.

    Args:
        x: The values.
        levels: The highest level.

    Returns:
        uint8 for up to 255 levels, else int32: few devices compute with uint16.
    """
    dtype = torch.uint8 if levels <= 255 else torch.int32
    return ((x.clamp(-1, 1) + 1) * (levels / 2)).round().to(dtype)


def to_image(pixels: Tensor) -> Image.Image:
    """Convert pixels, [H, W, C], to an image to look at: greyscale or RGB, 8 bits.

    Of 2 bands it shows the first, and of more than 3 the first three.
    """
    array = pixels.numpy()
    if array.dtype != np.uint8:
        array = np.rint(array * (255 / DEEP_LEVELS)).astype(np.uint8)
    if array.shape[2] < 3:
        return Image.fromarray(np.ascontiguousarray(array[:, :, 0]))
    return Image.fromarray(np.ascontiguousarray(array[:, :, :3]))


class ImageGenerator:
    """Generates images on the denoiser's device.

    The network computes in `precision`; solver, guidance and clipping always in float32.

    Args:
        denoiser: A trained denoiser.
        settings: Sampler, steps, guidance and so on.
        num_classes: Number of classes that it was trained on, K; 0 for none.
        shape: Channels, height and width of an image, or of a latent.
        levels: The highest level of a pixel: 255, or 65535 for deeper values.
        precision: fp32, bf16 or fp16.
        weaker: The weaker denoiser of autoguidance; None: guidance is classifier-free.
        known: Images that sampling starts from; None: it starts from noise.
        tables: The tables that were tuned for the network.
        windows: The windows that the network computes an image in; None: it computes it whole.
        decoder: What makes images of sampled latents, whose shape is given; None: they are images.
        places: Where in whole images they lie; None: the network knows no positions.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        settings: SamplingSettings,
        *,
        num_classes: int,
        shape: tuple[int, int, int],
        levels: int = 255,
        precision: str = "fp32",
        weaker: Denoiser | None = None,
        known: KnownImages | None = None,
        tables: TunedTables = NO_TABLES,
        windows: WindowSettings | None = None,
        decoder: LatentDecoder | None = None,
        places: CropPlaces | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.places = places
        self.decoder = decoder
        self.windows = windows
        self.weaker = weaker
        self.known = known
        self.settings = settings
        self.num_classes = num_classes
        self.shape = shape
        self.levels = levels
        self.precision = precision
        self.tables = tables
        self.solver_table = build_partial_table(settings, denoiser.schedule, known, tables)
        self.guided_steps = find_guided_steps(
            denoiser.schedule, self.solver_table.times, settings.guidance_interval
        )

    def with_precision(self, precision: str) -> "ImageGenerator":
        """Return a generator of the same images, but for its precision."""
        return self._copy(precision=precision)

    def starting_from(self, known: KnownImages) -> "ImageGenerator":
        """Return a generator whose images start from known ones."""
        return self._copy(known=known)

    def with_size(self, size: tuple[int, int]) -> "ImageGenerator":
        """Return a generator of images of another height and width."""
        return self if size == self.shape[1:] else self._copy(shape=(self.shape[0], *size))

    def sampling_with(self, settings: SamplingSettings) -> "ImageGenerator":
        """Return a generator with other settings, which samples from noise without a weaker one.

        Its images have the size that the network computes.
        """
        return ImageGenerator(
            self.denoiser,
            settings,
            num_classes=self.num_classes,
            shape=self.network_shape,
            levels=self.levels,
            decoder=self.decoder,
            places=self.places,
        )

    def _copy(
        self,
        *,
        precision: str | None = None,
        known: KnownImages | None = None,
        shape: tuple[int, int, int] | None = None,
    ) -> "ImageGenerator":
        return ImageGenerator(
            self.denoiser,
            self.settings,
            num_classes=self.num_classes,
            shape=shape or self.shape,
            levels=self.levels,
            precision=precision or self.precision,
            weaker=self.weaker,
            known=known or self.known,
            tables=self.tables,
            windows=self.windows,
            decoder=self.decoder,
            places=self.places,
        )

    @property
    def network_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network computes."""
        return self.shape if self.windows is None else (self.shape[0], *self.windows.size)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.shape if self.decoder is None else self.decoder.shape_images(self.shape)

    @property
    def is_invariant(self) -> bool:
        """Whether an image depends on nothing else in its batch, but for rounding in float32."""
        networks = [self._networks.main, self._networks.weaker]
        networks = [n.denoise if isinstance(n, WindowedDenoiser) else n for n in networks]
        return all(n.is_invariant for n in networks if isinstance(n, BatchInvariantDenoiser))

    @cached_property
    def _networks(self) -> SamplingNetworks:
        weaker = None if self.weaker is None else self._prepare(self.weaker)
        return SamplingNetworks(self._prepare(self.denoiser), self.num_classes, weaker)

    def _prepare(self, denoiser: Denoiser) -> Denoise:
        """Return a denoiser in this precision; each has its own CUDA graphs and blocks."""
        channels, height, width = self.network_shape
        if self.precision == "fp32":
            prepared: Denoise = graph_calls(denoiser)
        else:
            lowered = lower_precision(denoiser.eval(), self.precision)
            shape = (channels + denoiser.condition_channels, height, width)
            prepared = make_batch_invariant(lowered, shape)
        block = choose_blocks(denoiser.schedule.alpha.device, height, width).largest
        return prepared if self.windows is None else WindowedDenoiser(prepared, self.windows, block)

    @torch.inference_mode()
    def generate_batch(
        self,
        specs: Sequence[SampleSpec],
        seed: int,
        recorder: TrajectoryRecorder[SampleSpec] | None = None,
        known: ImageCondition | None = None,
    ) -> Tensor:
        """Return one batch of images, [B, H, W, C], see `to_pixels`.

        Args:
            specs: The images.
            seed: Random seed.
            recorder: Records the trajectories of some of them.
            known: What is known of them; None: their sources among the known images.
        """
        device = self.denoiser.schedule.alpha.device
        label = torch.tensor([spec.label for spec in specs], device=device)
        known = known or self._find_condition(specs, seed)
        if (result := known.find_result()) is not None:
            return result
        items, purpose = [spec.noise_item for spec in specs], known.purpose
        noise_of = partial(sample_noise, seed, items=items, shape=self.shape, device=device)
        start = self.solver_table.times[0]
        x = sample(
            self._denoise_steps(label, known),
            self.solver_table,
            noise=known.begin(noise_of(purpose, step=0), self.denoiser.schedule, start),
            label=label,
            noise_at=lambda k: noise_of(f"{purpose}-step", step=k),
            observe=None if recorder is None else partial(recorder.record, specs),
        )
        x = x if self.decoder is None else self.decoder.decode(x)
        return known.paste(to_pixels(x, self.levels).permute(0, 2, 3, 1).contiguous())

    def _find_condition(self, specs: Sequence[SampleSpec], seed: int) -> ImageCondition:
        """Return what is known of a batch, of which each image has a source or none has.

        Without smaller images, a network that upscales gets blank ones: see `Upscaler`.
        """
        rows = [spec.source for spec in specs if spec.source is not None]
        device, extra = self.denoiser.schedule.alpha.device, self.denoiser.condition_channels
        size = self.shape[1], self.shape[2]
        if extra and self.places is None:
            return make_blank_batch(len(specs), extra, size, device)
        known = self.known.select(rows, device) if self.known and rows else ImageCondition()
        if self.places is None:
            return known
        items = [spec.noise_item for spec in specs]
        return PlacedBatch(self.places.build_condition(items, seed, size, device), known)

    def _denoise_steps(self, label: Tensor, known: ImageCondition) -> list[Denoise]:
        """Return the denoiser of each step."""
        plain, guided = (known.keep(self._denoise(label, is_guided=each)) for each in (False, True))
        return [guided if is_guided else plain for is_guided in self.guided_steps]

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        seed: int,
        batch_size: int,
        recorder: TrajectoryRecorder[SampleSpec] | None = None,
    ) -> Iterator[Sample]:
        """Yield the images in the order of their specifications, `batch_size` at a time.

        Args:
            specs: The images.
            seed: Random seed.
            batch_size: How many are computed at once.
            recorder: Records the trajectories of some of them.
        """
        self.denoiser.eval()
        for start in range(0, len(specs), batch_size):
            batch = specs[start : start + batch_size]
            pixels = self.generate_batch(batch, seed, recorder).cpu()
            yield from (Sample(spec, image) for spec, image in zip(batch, pixels, strict=True))

    def denoise(self, x_t: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """Return the estimate of x as a step from there computes it, [B, C, H, W].

        A network that knows positions takes the images for crops of the middle.

        Args:
            x_t: Noisy images, [B, C, H, W].
            t: Their time, the same for all, [B].
            label: Class of each, [B].
        """
        time, interval = [int(t[0])], self.settings.guidance_interval
        (is_guided,) = find_guided_steps(self.denoiser.schedule, time, interval)
        denoise, places = self._denoise(label, is_guided=is_guided), self.places
        if places is not None:
            size = x_t.shape[2], x_t.shape[3]
            denoise = condition_on(denoise, places.build_middle(len(x_t), size, x_t.device))
        return denoise(x_t, t, label)

    def _denoise(self, label: Tensor, *, is_guided: bool = True) -> Denoise:
        """Return the denoiser of a step."""
        settings, networks = self.settings, self._networks
        return build_step_denoiser(
            networks,
            scale=networks.limit_scale(settings.guidance, label) if is_guided else 1.0,
            rescale=settings.guidance_rescale,
            threshold=settings.threshold,
            clip=settings.clip,
        )
