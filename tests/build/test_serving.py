"""A served model has the weights that the profile asks for, and one block per thread on the CPU."""

import pytest
import torch

from iddm_cli.build.compute import setup_compute
from iddm_cli.build.models import build_image_generator
from iddm_cli.build.serving import build_served_model, build_upscaler_traits
from iddm_cli.engine.reduced_precision.batch_invariant import CPU_BLOCKS
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.value_range import EIGHT_BIT
from tests.build.profiles import tiny_profile
from tests.build.weights import FakeWeights


@pytest.mark.parametrize(("weights", "value"), [("average", 1.0), ("raw", 2.0)])
def test_a_served_model_has_the_weights_of_its_profile(weights, value):
    profile = ResolvedProfile.model_validate({
        "data": {"channels": 1, "image_size": 8},
        "model": {"base_channels": 8, "channel_multipliers": [1], "blocks_per_level": 1,
                  "attention_levels": [], "head_channels": 8, "norm_groups": 4},
        "sampling": {"weights": weights},
        "runtime": {"device": "cpu"},
    })  # fmt: skip
    compute = setup_compute(profile.runtime)
    classes, source = ("cat", "dog"), FakeWeights()
    generator = build_image_generator(profile, classes, source, compute)
    served = build_served_model(
        "pets", generator, classes, trained_steps=source.step, reference="pets.safetensors"
    )
    assert all((parameter == value).all() for parameter in served.denoiser.backbone.parameters())
    assert not served.denoiser.training
    assert (served.name, served.reference, served.trained_steps) == ("pets", "pets.safetensors", 7)
    assert served.shape == (1, 8, 8)
    assert CPU_BLOCKS.reference in served.batch_denoiser.sizes
    assert served.batch_denoiser.num_threads == torch.get_num_threads()


def test_a_model_that_generates_has_no_traits_of_one_that_upscales():
    assert build_upscaler_traits(tiny_profile(), EIGHT_BIT) is None
