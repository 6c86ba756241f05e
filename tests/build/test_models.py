"""Trained models: the weights that are asked for, ready to generate and not to train."""

import pytest
import torch

from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.models import build_image_generator, load_denoiser
from tests.build.profiles import tiny_profile
from tests.build.weights import FakeWeights

CPU = torch.device("cpu")


@pytest.mark.parametrize(("weights", "value"), [("average", 1.0), ("raw", 2.0)])
def test_a_denoiser_has_the_chosen_weights_and_is_frozen(weights, value):
    denoiser = load_denoiser(tiny_profile(), 2, FakeWeights(), weights, CPU)
    assert all((parameter == value).all() for parameter in denoiser.backbone.parameters())
    assert not any(parameter.requires_grad for parameter in denoiser.parameters())
    assert not denoiser.training


def test_an_image_generator_takes_weights_and_sampler_from_the_profile():
    profile = tiny_profile(sampling={"weights": "raw", "steps": 3})
    compute = ComputeContext(CPU, "fp32")
    generator = build_image_generator(profile, ("cat", "dog"), FakeWeights(), compute)
    assert (next(generator.denoiser.parameters()) == 2).all()
    assert (generator.num_classes, generator.shape) == (2, (3, 16, 16))
    assert generator.settings == profile.sampling
