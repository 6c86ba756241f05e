"""Kernels: ways to compute the blocks of a network, equal up to rounding.

Which is fastest depends on the machine, the precision and the network:

- Memory format: channels_last suits a device's matrix units, contiguous PyTorch's normalisation,
  whose backward pass takes up to ten times as long with channels_last in bf16 on a CPU.
- Normalisation: separate applies the condition's scale and shift after the normalisation, each in a
  pass over the features. fused passes them to the normalisation as its weight and bias, so that one
  pass does all.
- Attention: sdpa never stores the attention matrix. matmul does, and computes with plain matrix
  products, which are twice as fast in bf16 on a CPU for small images.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

MOST_TOKENS = 1024
"""More positions use sdpa in any case: the attention matrix grows with their square."""


@dataclass(frozen=True)
class Kernels:
    """One way to compute, see the module's docstring.

    Attributes:
        memory_format: Layout of weights and features.
        normalization: separate, or fused with scale and shift.
        attention: sdpa, or matmul.
    """

    memory_format: Literal["contiguous", "channels_last"]
    normalization: Literal["separate", "fused"]
    attention: Literal["sdpa", "matmul"]


REFERENCE = Kernels("channels_last", "separate", "sdpa")

KERNELS: dict[str, Kernels] = {
    "reference": REFERENCE,
    "contiguous": Kernels("contiguous", "fused", "sdpa"),
    "contiguous-matmul": Kernels("contiguous", "fused", "matmul"),
    "channels-last": Kernels("channels_last", "fused", "sdpa"),
    "channels-last-matmul": Kernels("channels_last", "fused", "matmul"),
}


class KernelModule(nn.Module):
    """A module that can compute by several kernels.

    Attributes:
        kernels: The kernels in use.
    """

    kernels: Kernels = REFERENCE


def use_kernels(network: nn.Module, kernels: Kernels) -> None:
    """Let a network compute by these kernels, in place; parameters keep their names and values."""
    for module in network.modules():
        if isinstance(module, KernelModule):
            module.kernels = kernels
    network.to(memory_format=_FORMATS[kernels.memory_format])


_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def normalize(
    h: Tensor, norm: nn.GroupNorm, scale: Tensor, shift: Tensor, *, fused: bool
) -> Tensor:
    """Return norm(h) * (1 + scale) + shift, [B, C, H, W] (ADM, arXiv:2105.05233, section 3).

    Fused, the B images become one of B * C channels, in which each channel of each image has a
    weight and a bias of its own: weight * (1 + scale) and bias * (1 + scale) + shift.

    Args:
        h: Features, [B, C, H, W].
        norm: The normalisation.
        scale: Scale of each channel, [B, C, 1, 1].
        shift: Shift of each channel, [B, C, 1, 1].
        fused: Whether one pass does all.
    """
    if not fused:
        return norm(h) * (1 + scale) + shift
    scale, shift = scale.flatten(1), shift.flatten(1)
    weight = norm.weight * (1 + scale)
    bias = norm.bias * (1 + scale) + shift
    images = len(h)
    out = functional.group_norm(
        h.reshape(1, -1, *h.shape[2:]),
        images * norm.num_groups,
        weight.flatten(),
        bias.flatten(),
        norm.eps,
    )
    return out.view(h.shape)


def attend(query: Tensor, key: Tensor, value: Tensor, kernels: Kernels) -> Tensor:
    """Return softmax(query key^T / sqrt(D)) value (Vaswani et al. 2017, arXiv:1706.03762, eq. 1).

    Args:
        query: [B, heads, N, D].
        key: [B, heads, N, D].
        value: [B, heads, N, D].
        kernels: The kernels to compute by.

    Returns:
        [B, heads, N, D].
    """
    if kernels.attention == "sdpa" or query.shape[2] > MOST_TOKENS:
        return functional.scaled_dot_product_attention(query, key, value)
    logits = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
    return logits.softmax(dim=3).to(value.dtype) @ value
