"""Muon: orthogonal updates, the same as those of torch for matrices."""

import copy

import pytest
import torch

from iddm_cli.engine.optimization.muon import Muon, orthogonalize, split_hidden
from iddm_cli.networks.dit import DiT
from iddm_cli.networks.iddm_unet import IddmUNet
from iddm_cli.networks.skeleton import shapes_only


@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 4, 20), (2, 20, 4), (1, 1, 5)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape) * 100
    found = orthogonalize(matrices, torch.float32)
    assert found.shape == shape
    u, values, vh = torch.linalg.svd(matrices, full_matrices=False)
    # In the basis of the singular vectors, the result is diagonal.
    diagonal = u.mT @ found @ vh.mT
    size = values.shape[-1]
    rest = diagonal - torch.diag_embed(diagonal.diagonal(dim1=-2, dim2=-1))
    assert rest.abs().max() < 1e-3
    kept = diagonal.diagonal(dim1=-2, dim2=-1)[values > 0.05 * values.amax(-1, keepdim=True)]
    assert size > 0 and kept.min() > 0.6 and kept.max() < 1.3


def test_a_matrix_does_not_depend_on_the_others_of_its_batch_or_on_its_length():
    torch.manual_seed(0)
    matrices = torch.randn(3, 5, 8)
    together = orthogonalize(matrices, torch.float32)
    alone = orthogonalize(1e-3 * matrices[1:2], torch.float32)
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)
    assert not orthogonalize(torch.zeros(1, 3, 3)).any(), "no gradient, no update"


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_updates_of_matrices_are_those_of_torch(shape):
    torch.manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(shape))
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.3}
    pair = [
        (ours, Muon([ours], **settings)),
        (theirs, torch.optim.Muon([theirs], **settings, adjust_lr_fn="original")),
    ]
    for step in range(4):
        for parameter, optimizer in pair:
            parameter.grad = torch.randn(shape, generator=torch.Generator().manual_seed(step))
            optimizer.step()
    # Both compute in bf16, by operations of another order.
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    momenta = [optimizer.state[p]["momentum_buffer"] for p, optimizer in pair]
    torch.testing.assert_close(*momenta)


def test_a_convolution_is_the_matrix_of_its_filters():
    torch.manual_seed(0)
    weight = torch.randn(8, 3, 3, 3)
    gradient = torch.randn(8, 3, 3, 3)
    convolution = torch.nn.Parameter(weight.clone(memory_format=torch.channels_last))
    matrix = torch.nn.Parameter(weight.flatten(1))
    convolution.grad, matrix.grad = gradient, gradient.flatten(1)
    for parameter in (convolution, matrix):
        Muon([parameter], dtype=torch.float32).step()
    torch.testing.assert_close(convolution.detach().flatten(1), matrix.detach())
    assert convolution.is_contiguous(memory_format=torch.channels_last)


def test_a_device_can_skip_an_update_by_itself():
    parameter = torch.nn.Parameter(torch.ones(2, 2, device="cpu"))
    optimizer = Muon([parameter])
    old, new = torch.zeros(2), torch.tensor([float("nan"), 1.0])
    for flag, wanted in ((0.0, new), (1.0, old)):
        optimizer.found_inf = torch.tensor(flag)
        assert torch.equal(optimizer._unless_skipped(old, new).nan_to_num(7), wanted.nan_to_num(7))


def test_the_edges_of_the_network_of_iddm_are_no_hidden_weights():
    with shapes_only():
        network = IddmUNet(channels=3, num_classes=4)
    hidden, rest = split_hidden(network)
    edges = [network.inc.double_conv[0].weight, network.outc.weight,
             network.condition_adapter.label_emb.weight]  # fmt: skip
    assert {id(p) for p in rest if p.dim() >= 2} == {id(p) for p in edges}
    assert len(hidden) + len(rest) == len(list(network.parameters()))


def test_the_edges_of_a_transformer_are_no_hidden_weights():
    with shapes_only():
        network = DiT(channels=3, num_classes=4, width=16, depth=2, head_channels=8, patch_size=2,
                      bottleneck=5, mlp="swiglu", qk_norm=True)  # fmt: skip
    hidden, rest = split_hidden(network)
    names = {id(p): name for name, p in network.named_parameters()}
    matrices = {names[id(p)] for p in rest if p.dim() >= 2}
    assert matrices == {
        "embedding.classes.weight", "patch_in.0.weight", "patch_in.1.weight", "patch_out.weight",
    }  # fmt: skip
    blocks = [names[id(p)] for p in hidden if names[id(p)].startswith("blocks.0.")]
    assert len(blocks) == 1 + 4 + 3, "condition, attention and feed-forward network"
