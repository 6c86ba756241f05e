"""The comparison of a precision with fp32 finds what is close, and what is not."""

import math

import pytest
import torch

from iddm_cli.engine import image_generator
from iddm_cli.engine.reduced_precision.autocast_backbone import lower_precision
from iddm_cli.engine.reduced_precision.precision_comparison import (
    IMAGES,
    PrecisionComparison,
    compare_with_fp32,
)


def test_it_is_the_mean_difference_of_images_in_levels(generator):
    comparison = compare_with_fp32(generator, "bf16")
    specs = [image_generator.SampleSpec(i % 3, i) for i in range(IMAGES)]
    fp32, bf16 = (
        generator.with_precision(name).generate_batch(specs, 0).double()
        for name in ("fp32", "bf16")
    )
    assert comparison.difference == pytest.approx(float((fp32 - bf16).abs().mean()))
    assert comparison.difference > 0
    assert comparison.is_invariant
    generator.levels = 65_535
    deep = compare_with_fp32(generator, "bf16")
    assert deep.difference == pytest.approx(comparison.difference, rel=0.2), "also in 255 levels"


def test_a_precision_that_ruins_images_is_not_close(generator, monkeypatch):
    def ruin(denoiser, precision):
        lowered = lower_precision(denoiser, precision)
        return lowered.around(Coarse(lowered.backbone))

    monkeypatch.setattr(image_generator, "lower_precision", ruin)
    comparison = compare_with_fp32(generator, "bf16")
    assert comparison.difference > 2
    assert not comparison.is_close


class Coarse(torch.nn.Module):
    """A backbone of very few bits."""

    def __init__(self, backbone: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x_t, t, label):
        return (2 * self.backbone(x_t, t, label)).round() / 2


@pytest.mark.parametrize(
    ("difference", "is_invariant", "is_close"),
    [(0.2, True, True), (2.0, True, True), (2.1, True, False), (0.2, False, False),
     (math.nan, True, False)],
)  # fmt: skip
def test_close_is_two_levels_and_independence_of_the_batch(difference, is_invariant, is_close):
    assert PrecisionComparison(difference, is_invariant).is_close == is_close
