"""A served model: a trained denoiser and everything that a request can refer to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from iddm_cli.data.loader.batch_loader import normalize
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.diffusion.guidance import SamplingNetworks, find_guided_steps
from iddm_cli.engine.reduced_precision.batch_invariant import BatchInvariantDenoiser
from iddm_cli.engine.reduced_precision.size_variants import SizeVariants
from iddm_cli.engine.sampling.crop_places import CropPlaces
from iddm_cli.engine.sampling.enlargement import LowResolutionSource
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.engine.sampling.small_image import SmallImage
from iddm_cli.engine.sampling.solver_choice import build_solver_table
from iddm_cli.image_files import SamplingMetadata
from iddm_cli.profiles.choices import SAMPLER_SPECIFIC, SAMPLERS, SamplerName, usual_steps
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.serving.scheduling.batcher import InFlightSample, SamplePlan, take_step
from iddm_cli.serving.scheduling.upscaler_traits import UpscalerTraits
from iddm_cli.value_range import EIGHT_BIT, ValueRange


@dataclass(frozen=True)
class ServedModel:
    """A trained denoiser, ready to generate images, or to upscale them.

    Attributes:
        name: The run's name, by which requests refer to the model.
        reference: The RUN argument of `iddm generate`: a run's name or an exported file's.
        trained_steps: Training step of the weights.
        classes: Class names by label; empty for a model without classes.
        shape: Channels, height and width of an image; of a model that upscales, of one that it was
            trained on.
        sampling: Sampling settings for what a request leaves out.
        denoiser: The denoiser on its device, in evaluation mode.
        batch_denoiser: The same denoiser, for batches that mix several requests.
        values: The range of values that it was trained on.
        precision: Precision of the network: fp32, bf16 or fp16.
        batch_weaker: The weaker denoiser of autoguidance, also for such batches; None: guidance is
            classifier-free.
        guide_with: What the weaker denoiser is: RUN@STEP, as --guide-with takes it.
        tables: The tables that were tuned for the network.
        no_guidance: Why requests can have no guidance scale but 1; "" where they can.
        decoder: The decoder of the latents that it generates; None: it generates pixels.
        places: Where in whole images its images lie; None: it knows no positions.
        upscaler: What is special about a model that upscales; None: it generates from noise.
    """

    name: str
    reference: str
    trained_steps: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    sampling: SamplingSettings
    denoiser: Denoiser
    batch_denoiser: BatchInvariantDenoiser | SizeVariants
    values: ValueRange = EIGHT_BIT
    precision: str = "fp32"
    batch_weaker: BatchInvariantDenoiser | SizeVariants | None = None
    guide_with: str = ""
    tables: TunedTables = NO_TABLES
    no_guidance: str = ""
    decoder: LatentDecoder | None = None
    places: CropPlaces | None = None
    upscaler: UpscalerTraits | None = None

    @property
    def is_invariant(self) -> bool:
        """Whether trials found that other requests never change a bit of an image."""
        networks = (self.batch_denoiser, self.batch_weaker)
        return all(network.is_invariant for network in networks if network is not None)

    @property
    def diffused_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what noise is added to: an image, or its latent."""
        return self.shape if self.decoder is None else self.decoder.shape_latents(self.shape)

    def decode(self, x: Tensor) -> Tensor:
        """Return the image of a sample, or of an estimate of it, in about [-1, 1], [C, H, W]."""
        return x if self.decoder is None else self.decoder.decode(x[None])[0]

    def advance(self, samples: Sequence[InFlightSample]) -> None:
        """Take the next solver step of each sample, all in one batch."""
        take_step(
            SamplingNetworks(self.batch_denoiser, len(self.classes), self.batch_weaker),
            samples,
            device=self.denoiser.schedule.alpha.device,
            clip=self.sampling.clip,
        )

    def limit_batch(self, shape: tuple[int, int, int], max_batch: int) -> int:
        """Return how many samples of a shape share a step.

        Larger ones are fewer, so that a step takes no longer than a full batch of images of the
        size that the model was trained at.
        """
        full = max_batch * math.prod(self.diffused_shape[1:])
        return min(max_batch, max(1, full // math.prod(shape[1:])))

    def resolve_sampling(
        self,
        sampler: str | None,
        steps: int | None,
        guidance: float | None,
        guidance_interval: list[float] | None = None,
        time_grid: str | None = None,
        order: int | None = None,
        guidance_rescale: float | None = None,
        threshold: float | None = None,
    ) -> SamplingSettings:
        """Return the sampling settings of a request; None stands for the run's profile.

        A sampler other than the profile's uses its own default number of steps.

        Raises:
            UsageError: A tuned sampler has no table of so many calls.
        """
        defaults = self.sampling.model_dump()
        if sampler is not None and sampler != self.sampling.sampler:
            defaults |= SAMPLER_SPECIFIC
        options = {
            "sampler": sampler,
            "steps": steps,
            "guidance": guidance,
            "guidance_interval": guidance_interval,
            "grid": time_grid,
            "order": order,
            "guidance_rescale": guidance_rescale,
            "threshold": threshold,
        }
        given = {key: value for key, value in options.items() if value is not None}
        settings = SamplingSettings.model_validate(defaults | given)
        if not SAMPLERS[settings.sampler].needs_tables:
            return settings
        return settings.model_copy(update={"steps": self.tables.resolve_calls(settings.steps)})

    @property
    def samplers(self) -> list[SamplerName]:
        """The samplers that requests may name: a tuned one only where it has tables."""
        return [name for name, row in SAMPLERS.items() if self.tables or not row.needs_tables]

    def usual_steps(self, sampler: SamplerName) -> int:
        """Return how often a sampler calls the network where a request gives no number."""
        row = SAMPLERS[sampler]
        timesteps = len(self.denoiser.schedule)
        return self.tables.calls[-1] if row.needs_tables else usual_steps(sampler, timesteps)

    def plan_samples(
        self, settings: SamplingSettings, *, label: int, seed: int, own_noise: bool = False
    ) -> SamplePlan:
        """Return how to sample a request's images.

        Args:
            settings: The sampling settings.
            label: The class; 0 for a model without classes.
            seed: The random seed.
            own_noise: Whether each class has its own noise.
        """
        table = build_solver_table(settings, self.denoiser.schedule, tables=self.tables)
        guided = find_guided_steps(self.denoiser.schedule, table.times, settings.guidance_interval)
        return SamplePlan(
            table,
            self.diffused_shape,
            label,
            seed,
            settings.guidance,
            guided,
            rescale=settings.guidance_rescale,
            threshold=settings.threshold,
            own_noise=own_noise and bool(self.classes),
            condition=self.places,
        )

    def plan_upscaling(
        self, settings: SamplingSettings, image: SmallImage, *, seed: int, noise_level: float
    ) -> SamplePlan:
        """Return how to sample the upscaled image of a smaller one, as `iddm upscale` does.

        Args:
            settings: The sampling settings.
            image: The smaller image.
            seed: The random seed.
            noise_level: Level of the noise that the smaller image gets first, from 0 to 1.
        """
        assert self.upscaler is not None, "the model upscales"
        enlargement = self.upscaler.enlargement
        low = normalize(image.planes[None])[0]
        return replace(
            self.plan_samples(settings, label=image.label, seed=seed),
            shape=(self.shape[0], *enlargement.find_padded_size(image.size)),
            condition=LowResolutionSource(low, enlargement, noise_level),
            noise_index=image.noise,
            image_size=enlargement.find_size(image.size),
        )

    def sampling_metadata(self, settings: SamplingSettings, plan: SamplePlan) -> SamplingMetadata:
        """Return the metadata that a request's image files carry."""
        return SamplingMetadata(
            **settings.to_metadata(),
            run=self.name,
            step=self.trained_steps,
            seed=plan.seed,
            steps=len(plan.table),
            precision=self.precision,
            guide_with=self.guide_with,
            noise="own" if plan.own_noise else "same",
            noise_level=plan.condition.noise_level
            if isinstance(plan.condition, LowResolutionSource)
            else None,
        )
