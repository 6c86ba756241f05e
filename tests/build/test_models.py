"""Trained models: the weights that are asked for, ready to generate and not to train."""

import pytest
import torch

from iddm_cli.build import models
from iddm_cli.build.compute import ComputeContext
from iddm_cli.build.models import (
    FEWEST_DURING_TRAINING,
    build_image_generator,
    build_training_generator,
    load_denoiser,
)
from iddm_cli.build.networks import build_denoiser
from iddm_cli.engine import device
from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison
from tests.build.profiles import tiny_profile
from tests.build.weights import FakeWeights

CPU = torch.device("cpu")


@pytest.mark.parametrize(("weights", "value"), [("average", 1.0), ("raw", 2.0)])
def test_a_denoiser_has_the_chosen_weights_and_is_frozen(weights, value):
    denoiser = load_denoiser(tiny_profile(), 2, FakeWeights(), weights, CPU)
    assert all((parameter == value).all() for parameter in denoiser.backbone.parameters())
    assert not any(parameter.requires_grad for parameter in denoiser.parameters())
    assert not denoiser.training


def test_a_denoiser_that_generates_has_no_layer_for_augmentation():
    augmented = tiny_profile(data={"channels": 3, "image_size": 16, "augment": 0.12})
    trained = build_denoiser(augmented, 2).backbone.state_dict()
    found = load_denoiser(augmented, 2, FakeWeights(), "average", CPU).backbone.state_dict()
    assert trained["embedding.augmentation.weight"].shape == (32, 14)
    assert found.keys() == build_denoiser(tiny_profile(), 2).backbone.state_dict().keys()


def test_an_image_generator_takes_weights_and_sampler_from_the_profile():
    profile = tiny_profile(sampling={"weights": "raw", "steps": 3})
    compute = ComputeContext(CPU, "fp32")
    generator = build_image_generator(profile, ("cat", "dog"), FakeWeights(), compute)
    assert (next(generator.denoiser.parameters()) == 2).all()
    assert (generator.num_classes, generator.shape) == (2, (3, 16, 16))
    assert generator.settings == profile.sampling


class Group:
    """Processes that train together; another one may find that images are not close."""

    is_sharded = False

    def __init__(self, other: int = 0) -> None:
        self.other = other

    def all_reduce_max(self, number: int) -> int:
        return max(number, self.other)


@pytest.fixture
def compared(monkeypatch) -> list[str]:
    """A device that is fast in bf16, where images are close; and what was compared."""
    names: list[str] = []

    def compare(_generator, precision: str) -> PrecisionComparison:
        names.append(precision)
        return PrecisionComparison(0.5, True)

    monkeypatch.setattr(models, "compare_with_fp32", compare)
    monkeypatch.setattr(device, "_cpu_computes_bf16", lambda: True)
    return names


def training_precision(images: int, group: Group, **sampling) -> str:
    profile = tiny_profile(sampling=sampling)
    denoiser = build_denoiser(profile, 2)
    return build_training_generator(denoiser, profile, 2, images=images, group=group).precision


def test_during_training_many_images_are_compared_and_few_are_fp32(compared):
    assert training_precision(FEWEST_DURING_TRAINING - 1, Group()) == "fp32"
    assert compared == []
    assert training_precision(FEWEST_DURING_TRAINING, Group()) == "bf16"
    assert training_precision(FEWEST_DURING_TRAINING, Group(other=1)) == "fp32", "the same in all"
    assert compared == ["bf16", "bf16"]


def test_during_training_a_named_precision_is_used_except_by_sharded_networks(compared):
    sharded = Group()
    sharded.is_sharded = True
    assert training_precision(1, Group(), precision="bf16") == "bf16"
    assert training_precision(1000, Group(), precision="fp32") == "fp32"
    assert training_precision(1000, sharded, precision="bf16") == "fp32"
    assert compared == []
