"""Low-rank adapters: a frozen network, small changes to it, and both merged."""

import copy

import pytest
import torch

from iddm_cli.networks.transferring.adapters import (
    PARAMETRIZED,
    LowRankUpdate,
    add_adapters,
    merge_adapters,
)
from tests.networks.backbones import DENOISING
from tests.networks.transferring.test_weight_transfer import ask, build

LAYERS = (torch.nn.Conv2d, torch.nn.Linear)


@pytest.fixture(params=DENOISING)
def name(request) -> str:
    return request.param


def list_adapters(network) -> dict[str, torch.Tensor]:
    """Return what a checkpoint holds of a network with adapters."""
    frozen = {key for key, each in network.named_parameters() if not each.requires_grad}
    return {key: each for key, each in network.state_dict().items() if key not in frozen}


def test_a_network_starts_as_the_frozen_one(name):
    base = build(name, 3, 3)
    adapted = copy.deepcopy(base)
    add_adapters(adapted, 4, [2])
    with torch.no_grad():  # with gradients, linear layers may round otherwise
        assert torch.equal(ask(adapted, [0, 1, 2, 3]), ask(base, [0, 1, 2, 3]))
    merged = merge_adapters(base.state_dict(), list_adapters(adapted))
    assert all(torch.equal(merged[key], each) for key, each in base.state_dict().items())


def test_merged_weights_compute_what_the_adapters_do(name):
    base = build(name, 3, 3)
    adapted = copy.deepcopy(base)
    add_adapters(adapted, 4, [2])
    for each in list_adapters(adapted).values():
        if each.dtype.is_floating_point:
            each.data += 0.05 * torch.randn(each.shape)
    plain = build(name, 3, 3, seed=9)
    plain.load_state_dict(merge_adapters(base.state_dict(), list_adapters(adapted)))
    found = ask(plain, [0, 1, 2, 3])
    torch.testing.assert_close(found, ask(adapted, [0, 1, 2, 3]), atol=1e-6, rtol=1e-6)
    assert not torch.allclose(found, ask(base, [0, 1, 2, 3]), atol=1e-3)
    rows = plain.class_table().weight - base.class_table().weight
    assert (rows.abs().amax(1) > 0).tolist()[:3] == [False, False, True], "new rows alone"


def test_a_weight_changes_by_b_times_a():
    layer = torch.nn.Conv2d(3, 6, 3)
    update = LowRankUpdate(layer.weight, 2)
    torch.nn.init.normal_(update.up)
    wanted = torch.einsum("or,rikl->oikl", update.up, update.down.view(2, 3, 3, 3))
    torch.testing.assert_close(update(layer.weight) - layer.weight, wanted)


def test_only_adapters_and_new_rows_have_gradients(name):
    network = build(name, 3, 3)
    add_adapters(network, 4, [2])
    ask(network, [0, 2]).square().sum().backward()
    trained = {key for key, each in network.named_parameters() if each.grad is not None}
    assert trained == {key for key in list_adapters(network) if not key.endswith(".labels")}
    assert all(PARAMETRIZED in key for key in trained)
    layers = [each for each in network.modules() if isinstance(each, LAYERS)]
    ranks = {each.parametrizations.weight[0].down.shape[0] for each in layers}
    assert max(ranks) == 4, "narrow layers have fewer"
