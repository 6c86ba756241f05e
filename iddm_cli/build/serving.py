"""Build served models: an image generator → `ServedModel`."""

from iddm_cli.data.decoding.own_size import OwnSizeSpec
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
from iddm_cli.engine.reduced_precision.batch_invariant import (
    BatchInvariantDenoiser,
    make_batch_invariant,
)
from iddm_cli.engine.reduced_precision.size_variants import SizeVariants
from iddm_cli.engine.sampling.enlargement import Enlargement
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.serving.scheduling.served_model import ServedModel
from iddm_cli.serving.scheduling.upscaler_traits import UpscalerTraits
from iddm_cli.value_range import EIGHT_BIT, ValueRange


def build_served_model(
    name: str,
    generator: ImageGenerator,
    classes: tuple[str, ...],
    *,
    trained_steps: int,
    reference: str,
    values: ValueRange = EIGHT_BIT,
    guide_with: str = "",
    tables: TunedTables = NO_TABLES,
    no_guidance: str = "",
    upscaler: UpscalerTraits | None = None,
) -> ServedModel:
    """Prepare a trained model for the server; on the CPU each thread computes a block of its own.

    Args:
        name: The run's name.
        generator: The model's image generator, with the sampling settings and precision to use.
        classes: Class names by label.
        trained_steps: Training step of the weights.
        reference: The RUN argument of `iddm generate` for this model.
        values: The range of values that it was trained on.
        guide_with: What the generator's weaker denoiser is: RUN@STEP; "" where it has none.
        tables: The tables that were tuned for the network.
        no_guidance: Why requests can have no guidance scale but 1; "" where they can.
        upscaler: What is special about a model that upscales; None: it generates from noise.
    """
    channels, height, width = generator.shape

    def prepare(denoiser: Denoiser) -> BatchInvariantDenoiser | SizeVariants:
        lowered = lower_precision(denoiser, generator.precision)
        shape = (channels + denoiser.condition_channels, height, width)
        if upscaler is None:
            return make_batch_invariant(lowered, shape)
        return SizeVariants(lowered, shape)

    return ServedModel(
        name=name,
        reference=reference,
        trained_steps=trained_steps,
        classes=classes,
        shape=generator.image_shape,
        sampling=generator.settings,
        denoiser=generator.denoiser,
        batch_denoiser=prepare(generator.denoiser),
        values=values,
        precision=generator.precision,
        batch_weaker=None if generator.weaker is None else prepare(generator.weaker),
        guide_with=guide_with,
        tables=tables,
        no_guidance=no_guidance,
        decoder=generator.decoder,
        places=generator.places,
        upscaler=upscaler,
    )


def build_upscaler_traits(profile: ResolvedProfile, values: ValueRange) -> UpscalerTraits | None:
    """Return what the server knows of a model that upscales; None for one that generates.

    Args:
        profile: Its profile.
        values: The range of values that it was trained on.
    """
    model, data = profile.model, profile.data
    if not model.is_upscaler:
        return None
    return UpscalerTraits(
        Enlargement(model.upscale_factor, model.size_divisor),
        highest_noise=model.upscale_noise,
        needs_class=profile.training.label_drop == 0,
        decoding=OwnSizeSpec(data.channels, data.background, values),
    )
