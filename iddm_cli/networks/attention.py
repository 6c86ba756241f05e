"""Multi-head self-attention over tokens, and the normalisation of its queries and keys."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.kernels import KernelModule, attend

RMS_EPS = 1e-6


class RMSNorm(nn.Module):
    """Divides vectors by their root mean square (Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4).

    It is computed in float32 whatever the precision of the vectors.

    Args:
        width: Length of the vectors.
        affine: Whether the result is multiplied by a learned weight.
    """

    def __init__(self, width: int, *, affine: bool = True) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width)) if affine else None

    def forward(self, h: Tensor) -> Tensor:
        """Return the normalised vectors, shaped like h, [..., width]."""
        weight = None if self.weight is None else self.weight.float()
        return functional.rms_norm(h.float(), (self.width,), weight, RMS_EPS).to(h.dtype)


class AttentionLayers(KernelModule):
    """The projections of multi-head self-attention, and how they are used.

    Subclasses decide what precedes and follows them.
    """

    def add_projections(self, channels: int, *, heads: int, qk_norm: bool) -> None:
        """Add the layers.

        Args:
            channels: Channels in and out; a multiple of `heads`.
            heads: Number of attention heads.
            qk_norm: Whether queries and keys are normalised in each head (Dehghani et al. 2023,
                arXiv:2302.05442, section 2; by RMSNorm), so that no product of them grows large.
        """
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.query_norm = RMSNorm(channels // heads) if qk_norm else nn.Identity()
        self.key_norm = RMSNorm(channels // heads) if qk_norm else nn.Identity()

    def attend_all(self, tokens: Tensor) -> Tensor:
        """Return what every token, [B, N, C], reads from all of them, [B, N, C]."""
        query, key, value = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        seen = attend(self.query_norm(query), self.key_norm(key), value, self.kernels)
        return self.out(seen.transpose(1, 2).flatten(2))


class TokenAttention(AttentionLayers):
    """Self-attention over tokens, without normalisation or residual connection.

    Args:
        channels: Channels in and out; a multiple of `heads`.
        heads: Number of attention heads.
        qk_norm: Whether queries and keys are normalised in each head.
    """

    def __init__(self, channels: int, *, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.add_projections(channels, heads=heads, qk_norm=qk_norm)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what every token, [B, N, C], reads from all of them, [B, N, C]."""
        return self.attend_all(tokens)
