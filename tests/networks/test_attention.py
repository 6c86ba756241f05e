"""Attention over tokens: the formulas of its normalisation, and what they keep from growing."""

import pytest
import torch
from torch import nn

from iddm_cli.networks.attention import RMS_EPS, RMSNorm, TokenAttention
from iddm_cli.networks.blocks import SelfAttention


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_is_the_formula_in_float32(dtype):
    torch.manual_seed(0)
    norm = RMSNorm(6)
    nn.init.normal_(norm.weight)
    h = (3 * torch.randn(2, 4, 6)).to(dtype)
    exact = h.double()
    exact = exact / (exact.square().mean(-1, keepdim=True) + RMS_EPS).sqrt() * norm.weight
    found = norm(h)
    assert found.dtype == dtype
    rtol = 1e-6 if dtype == torch.float32 else 0.01
    torch.testing.assert_close(found, exact.to(dtype), rtol=rtol, atol=1e-6)
    assert RMSNorm(6, affine=False).weight is None


def by_hand(attention: TokenAttention, tokens: torch.Tensor) -> torch.Tensor:
    """Attention head by head, with normalised queries and keys."""
    size = tokens.shape[2] // attention.heads
    heads = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        query, key, value = (
            layer(tokens)[..., part] for layer in (attention.query, attention.key, attention.value)
        )
        query, key = (
            v / (v.square().mean(-1, keepdim=True) + RMS_EPS).sqrt() * norm.weight
            for v, norm in ((query, attention.query_norm), (key, attention.key_norm))
        )
        weights = (query @ key.mT / size**0.5).softmax(-1)
        heads.append(weights @ value)
    return attention.out(torch.cat(heads, dim=-1))


def test_queries_and_keys_are_normalised_in_each_head():
    torch.manual_seed(0)
    attention, tokens = TokenAttention(12, heads=3, qk_norm=True), torch.randn(2, 5, 12)
    nn.init.normal_(attention.query_norm.weight)
    nn.init.normal_(attention.key_norm.weight)
    torch.testing.assert_close(attention(tokens), by_hand(attention, tokens))


def test_normalised_products_do_not_grow_with_the_weights():
    torch.manual_seed(0)
    tokens = torch.randn(1, 6, 8)
    for qk_norm in (False, True):
        attention = TokenAttention(8, heads=2, qk_norm=qk_norm)
        before = attention(tokens)
        for layer in (attention.query, attention.key):
            layer.weight.data *= 100
            layer.bias.data *= 100
        change = (attention(tokens) - before).abs().max()
        assert (change < 1e-3) == qk_norm


def test_the_u_nets_attention_has_no_further_tensors_unless_wanted():
    plain, normalised = (
        SelfAttention(8, head_channels=4, groups=2, qk_norm=qk_norm) for qk_norm in (False, True)
    )
    further = {"query_norm.weight", "key_norm.weight"}
    assert normalised.state_dict().keys() - plain.state_dict().keys() == further
    # Older runs depend on this order, in which the norm of the gradient is summed.
    assert [name.split(".")[0] for name in plain.state_dict()][::2] == [
        "norm", "query", "key", "value", "out",
    ]  # fmt: skip
