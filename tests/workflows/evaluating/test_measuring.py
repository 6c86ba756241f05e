"""Measuring: what cannot be measured is a warning, and every other number stays."""

from dataclasses import replace

import pytest
import torch

from iddm_cli.data.progress import no_progress
from iddm_cli.evaluation.features import feature_training
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.value_range import EIGHT_BIT
from iddm_cli.workflows.evaluating import measuring
from iddm_cli.workflows.evaluating.real_images import RealImages
from iddm_cli.workflows.evaluating.request import EvaluationRequest
from tests.build.profiles import tiny_profile

CLASSES = ("dark", "bright")


def make_images(name: str, *, seed: int, count: int = 24) -> ImageSet:
    """Return images of random pixels, the bright ones brighter than every dark one."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    pixels = torch.randint(0, 100, (count, 1, 8, 8), generator=generator)
    levels = (pixels + 150 * labels[:, None, None, None]).to(torch.uint8)
    return ImageSet(name, levels, labels, CLASSES)


@pytest.fixture
def real() -> RealImages:
    training = make_images("training", seed=1)
    profile = tiny_profile(data={"image_size": 8, "channels": 1})
    return RealImages(make_images("held-out", seed=2), training, training, profile, EIGHT_BIT)


def test_a_filter_that_leaves_no_image_is_a_warning(real, monkeypatch):
    monkeypatch.setattr(feature_training, "MIN_STEPS", 20)
    request = EvaluationRequest(usefulness=True, filtered=True)
    generated = make_images("generated", seed=3)
    swapped = replace(generated, labels=1 - generated.labels)
    found = measuring.Measuring(real, request, no_progress).evaluate(
        swapped, title="swapped", settings={}
    )
    assert found.usefulness is None
    assert {"mind", "agreement"} <= set(found.quality.numbers)
    assert found.copies is not None
    (warning,) = [text for text in found.warnings if "usefulness" in text]
    assert "--filter leaves no image" in warning
    assert "24: predicted class disagrees" in warning
