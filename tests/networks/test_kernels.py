"""Kernels: each computes the reference's formula, forward and backward."""

from typing import get_args

import pytest
import torch
from torch import nn

from iddm_cli.networks import NETWORKS
from iddm_cli.networks.kernels import KERNELS, MOST_TOKENS, Kernels, attend, normalize, use_kernels
from iddm_cli.networks.unet import UNet
from iddm_cli.profiles.choices import KernelsName
from iddm_cli.profiles.model_settings import MODEL_SETTINGS

OTHERS = [name for name in KERNELS if name != "reference"]
SMALLER = {"dit": {"width": 16, "depth": 2, "head_channels": 4, "patch_size": 2}}
TINY = {"base_channels": 8, "channel_multipliers": [1, 2], "blocks_per_level": 1}


def build_unet(conditioning: str = "scale_shift") -> UNet:
    """Return a U-Net none of whose weights is zero."""
    torch.manual_seed(0)
    network = UNet(
        channels=2, num_classes=3, attention_levels=[0, 1], head_channels=4, norm_groups=2,
        conditioning=conditioning, **TINY,
    )  # fmt: skip
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def compute(network: nn.Module, kernels: Kernels) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return a network's output and the gradients of its weights, as contiguous tensors."""
    use_kernels(network, kernels)
    torch.manual_seed(1)
    x_t = torch.randn(3, 2, 8, 8)
    out = network(x_t, torch.tensor([0, 500, 999]), torch.tensor([0, 1, 3]))
    gradients = torch.autograd.grad((out * torch.randn(3, 2, 8, 8)).sum(), [*network.parameters()])
    return out.detach(), [gradient.contiguous() for gradient in gradients]


def test_each_name_of_the_profile_has_its_kernels():
    assert set(get_args(KernelsName)) == set(KERNELS)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("conditioning", ["scale_shift", "shift"])
def test_all_kernels_compute_the_same(name: str, conditioning: str):
    network = build_unet(conditioning)
    out, gradients = compute(network, KERNELS["reference"])
    other_out, other_gradients = compute(network, KERNELS[name])
    torch.testing.assert_close(other_out, out, rtol=1e-4, atol=1e-5)
    largest = max(gradient.abs().max().item() for gradient in gradients)
    for gradient, other in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("name", OTHERS)
def test_under_bf16_they_are_as_near_to_the_exact_result_as_the_reference(name: str):
    network = build_unet()
    exact, _ = compute(network, KERNELS["reference"])
    errors = []
    for kernels in (KERNELS["reference"], KERNELS[name]):
        use_kernels(network, kernels)
        torch.manual_seed(1)
        x_t = torch.randn(3, 2, 8, 8)
        with torch.autocast("cpu", torch.bfloat16):
            out = network(x_t, torch.tensor([0, 500, 999]), torch.tensor([0, 1, 3]))
        errors.append((out.float() - exact).square().mean().sqrt().item())
    assert errors[1] < 1.5 * errors[0] < 0.1 * exact.std().item()


def test_kernels_leave_the_names_and_the_values_of_the_weights():
    network = build_unet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    use_kernels(network, KERNELS["channels-last"])
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["iddm-unet", "dit"])
def test_other_networks_take_them_too(name):
    torch.manual_seed(0)
    settings = MODEL_SETTINGS[name].model_validate({"network": name, **SMALLER.get(name, {})})
    network = NETWORKS[name](channels=1, num_classes=2, **settings.network_arguments)
    for parameter in network.eval().parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.15)
    x_t, t, label = torch.randn(1, 1, 8, 8), torch.tensor([3]), torch.tensor([1])
    with torch.no_grad():
        use_kernels(network, KERNELS["reference"])
        expected = network(x_t, t, label)
        use_kernels(network, KERNELS["contiguous-matmul"])
        assert not torch.equal(network(x_t, t, label), expected)
        torch.testing.assert_close(network(x_t, t, label), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_normalize_is_the_formula(fused: bool):
    torch.manual_seed(0)
    h = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    norm = nn.GroupNorm(3, 6, eps=0.01).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    scale, shift = torch.randn(2, 2, 6, 1, 1, dtype=torch.float64)
    groups = h.view(2, 3, -1)
    mean, var = groups.mean(2), groups.var(2, correction=0)
    normal = ((groups - mean[..., None]) / (var[..., None] + 0.01).sqrt()).view_as(h)
    expected = normal * norm.weight[:, None, None] + norm.bias[:, None, None]
    expected = expected * (1 + scale) + shift
    torch.testing.assert_close(normalize(h, norm, scale, shift, fused=fused), expected)


def test_the_matrix_of_very_many_positions_is_not_stored(monkeypatch: pytest.MonkeyPatch):
    called = []
    name = "iddm_cli.networks.kernels.functional.scaled_dot_product_attention"
    monkeypatch.setattr(name, lambda query, _key, value: called.append(len(query)) or value)
    for tokens in (MOST_TOKENS, MOST_TOKENS + 1):
        attend(*torch.randn(3, 1, 1, tokens, 1), KERNELS["contiguous-matmul"])
    assert called == [1]
