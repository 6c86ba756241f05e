"""How far images of a lower precision are from those of fp32, measured on a few of them."""

from dataclasses import dataclass

from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec

IMAGES = 8
SEED = 0
MOST_LEVELS = 2.0
"""Largest accepted mean difference, in levels of 255."""


@dataclass(frozen=True)
class PrecisionComparison:
    """What images of a lower precision are like.

    Attributes:
        difference: Mean absolute difference to the images of fp32, in levels of 255.
        is_invariant: Whether an image depends on nothing else in its batch.
    """

    difference: float
    is_invariant: bool

    @property
    def is_close(self) -> bool:
        """Whether the precision may take the place of fp32; False also for a difference of NaN."""
        return self.is_invariant and self.difference <= MOST_LEVELS


def compare_with_fp32(generator: ImageGenerator, precision: str) -> PrecisionComparison:
    """Generate the same images in fp32 and in another precision, and compare them.

    Args:
        generator: The image generator; its sampler settings count, its precision does not.
        precision: bf16 or fp16.
    """
    classes = max(1, generator.num_classes)
    specs = [SampleSpec(i % classes, i) for i in range(IMAGES)]
    lower = generator.with_precision(precision)
    generator.denoiser.eval()
    images = (
        each.generate_batch(specs, SEED) for each in (generator.with_precision("fp32"), lower)
    )
    expected, actual = (pixels.double() for pixels in images)
    levels = float((actual - expected).abs().mean()) * 255 / generator.levels
    return PrecisionComparison(levels, lower.is_invariant)
