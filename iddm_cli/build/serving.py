"""Build served models: an image generator → `ServedModel`."""

from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
from iddm_cli.engine.reduced_precision.batch_invariant import (
    BatchInvariantDenoiser,
    make_batch_invariant,
)
from iddm_cli.records.tuned_tables import NO_TABLES, TunedTables
from iddm_cli.serving.scheduling.served_model import ServedModel
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
    """

    def prepare(denoiser: Denoiser) -> BatchInvariantDenoiser:
        lowered = lower_precision(denoiser, generator.precision)
        channels, height, width = generator.shape
        return make_batch_invariant(
            lowered, (channels + denoiser.condition_channels, height, width)
        )

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
    )
