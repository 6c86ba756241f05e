"""The layer for augmentation: without effect at zero, and so not needed by what only generates."""

import pytest
import torch
from torch import nn

from iddm_cli.engine import randomness
from iddm_cli.networks import NETWORKS
from iddm_cli.networks.augmentation import (
    AugmentationEmbedding,
    ConditionedBackbone,
    remove_augmentation,
)
from iddm_cli.profiles.model_settings import MODEL_SETTINGS
from tests.networks.backbones import DENOISING

SMALL = {"base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1,
         "attention_levels": [1], "head_channels": 8, "norm_groups": 4,
         "width": 16, "depth": 1, "patch_size": 2}  # fmt: skip
CONDITIONS = 5

INPUTS = (torch.randn(2, 1, 16, 16), torch.tensor([3, 700]), torch.tensor([0, 2]))


@pytest.fixture(params=DENOISING)
def build(request):
    """Return a function that builds a network of each kind, without layers that are zero."""
    fields = MODEL_SETTINGS[request.param].model_fields
    settings = {key: value for key, value in SMALL.items() if key in fields}

    def make(augmentation: int) -> nn.Module:
        randomness.seed_library(0, "weights", step=0)
        network = NETWORKS[request.param](
            channels=1, num_classes=2, augmentation=augmentation, **settings
        )
        generator = torch.Generator().manual_seed(0)
        for name, tensor in network.named_parameters():
            if not tensor.any() and "augmentation" not in name:  # else no condition has an effect
                nn.init.normal_(tensor, std=0.2, generator=generator)
        return network.eval()

    return make


def find_layer(network: nn.Module) -> AugmentationEmbedding:
    (layer,) = (one for one in network.modules() if isinstance(one, AugmentationEmbedding))
    return layer


@torch.no_grad()
def test_it_starts_without_effect_and_leaves_the_other_weights(build):
    with_layer, without = build(CONDITIONS), build(0)
    found, wanted = with_layer.state_dict(), without.state_dict()
    assert len(found.keys() - wanted.keys()) == 1
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    vector = torch.randn(2, CONDITIONS)
    assert torch.equal(with_layer(*INPUTS, vector), without(*INPUTS))


@torch.no_grad()
def test_only_a_vector_that_is_not_zero_changes_the_output(build):
    network = build(CONDITIONS)
    nn.init.normal_(find_layer(network).weight)
    plain = network(*INPUTS)
    vector = torch.zeros(2, CONDITIONS)
    assert torch.equal(network(*INPUTS, vector), plain)
    vector[1] = 1
    changed = ConditionedBackbone(network, vector)(*INPUTS)
    assert torch.equal(changed[0], plain[0])
    assert not torch.allclose(changed[1], plain[1], atol=1e-3)


@torch.no_grad()
def test_a_network_without_the_layer_is_that_with_zero(build):
    network = build(CONDITIONS)
    nn.init.normal_(find_layer(network).weight)
    zero = network(*INPUTS, torch.zeros(2, CONDITIONS))
    remove_augmentation(network)
    assert network.state_dict().keys() == build(0).state_dict().keys()
    assert torch.equal(network(*INPUTS), zero)


def test_the_layer_is_trained_from_zero(build):
    network = build(CONDITIONS)
    network(*INPUTS, torch.ones(2, CONDITIONS)).square().sum().backward()
    assert find_layer(network).weight.grad.any()
