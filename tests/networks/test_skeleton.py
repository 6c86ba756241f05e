"""Skeletons: the shapes of the networks that they stand for, and no random numbers."""

import pytest
import torch
from torch import nn

from iddm_cli.checkpoints.tensors import specs_of
from iddm_cli.networks import NETWORKS
from iddm_cli.networks.skeleton import SkipInitialWeights, shapes_only
from iddm_cli.profiles.model_settings import MODEL_SETTINGS


def build(name: str) -> nn.Module:
    settings = MODEL_SETTINGS[name].model_validate({"network": name})
    return NETWORKS[name](channels=1, num_classes=3, **settings.network_arguments)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_skeleton_has_the_shapes_of_the_network_and_no_storage(name):
    with shapes_only():
        skeleton = build(name)
    with SkipInitialWeights():
        network = build(name)
    assert specs_of(skeleton.state_dict()) == specs_of(network.state_dict())
    assert {parameter.device.type for parameter in skeleton.parameters()} == {"meta"}


@pytest.mark.parametrize("name", NETWORKS)
def test_skipped_weights_take_no_random_numbers(name):
    before = torch.get_rng_state()
    with SkipInitialWeights():
        build(name)
    assert torch.equal(torch.get_rng_state(), before)
    nn.Linear(2, 2)
    assert not torch.equal(torch.get_rng_state(), before), "outside they are sampled as ever"


def test_everything_else_is_initialised():
    with SkipInitialWeights():
        norm = nn.GroupNorm(2, 4)
    assert torch.equal(norm.weight, torch.ones(4))
    assert torch.equal(norm.bias, torch.zeros(4))
