"""Blocks of a U-Net: residual block, self-attention, downsampling and upsampling.

Every residual branch ends in a layer that starts at zero, so that a new network passes its
input through unchanged (ADM, Dhariwal & Nichol 2021, arXiv:2105.05233, its code).
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.attention import AttentionLayers
from iddm_cli.networks.kernels import KernelModule, normalize

EPS = 1e-5

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "lrelu": partial(nn.LeakyReLU, 0.1),
}


def zero_init(layer: nn.Conv2d | nn.Linear) -> None:
    """Set a layer's weights and biases to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(KernelModule):
    """Two convolutions around a conditioning.

    By scale and shift after the second normalisation (ADM, arXiv:2105.05233, section 3), by a
    shift before it (DDPM, arXiv:2006.11239, its code), or without one.

    Args:
        channels: Channels in.
        out: Channels out; a 1 x 1 convolution carries the input across where they differ.
        embedding: Length of the condition embedding.
        groups: Groups of the normalisations.
        dropout: Share of activations dropped before the second convolution.
        activation: Makes the non-linearity.
        conditioning: scale_shift, shift, or none: forward then needs no embedding.
        eps: What the normalisations add to the variance.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        embedding: int,
        groups: int,
        dropout: float,
        activation: Callable[[], nn.Module],
        conditioning: str = "scale_shift",
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.scales = conditioning == "scale_shift"
        self.norm1 = nn.GroupNorm(groups, channels, eps=eps)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        length = {"scale_shift": 2 * out, "shift": out, "none": 0}[conditioning]
        self.condition = nn.Linear(embedding, length) if length else None
        self.norm2 = nn.GroupNorm(groups, out, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)
        self.activation = activation()
        zero_init(self.conv2)

    def forward(self, h: Tensor, embedding: Tensor | None = None) -> Tensor:
        """Return [B, out, H, W] for features h, [B, channels, H, W]."""
        condition = None
        if self.condition is not None and embedding is not None:
            condition = self.condition(self.activation(embedding))[:, :, None, None]
        branch = self.conv1(self.activation(self.norm1(h)))
        if condition is None:
            branch = self.norm2(branch)
        elif self.scales:
            scale, shift = condition.chunk(2, dim=1)
            fused = self.kernels.normalization == "fused"
            branch = normalize(branch, self.norm2, scale, shift, fused=fused)
        else:
            branch = self.norm2(branch + condition)
        branch = self.conv2(self.dropout(self.activation(branch)))
        return self.shortcut(h) + branch


class SelfAttention(AttentionLayers):
    """Self-attention over all positions.

    Args:
        channels: Channels in and out.
        head_channels: Channels of one head, which divide `channels`; None: one head has them all.
        groups: Groups of the normalisation.
        eps: What the normalisation adds to the variance.
        qk_norm: Whether queries and keys are normalised in each head.
    """

    def __init__(
        self,
        channels: int,
        *,
        head_channels: int | None,
        groups: int,
        eps: float = EPS,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=eps)
        heads = channels // (head_channels or channels)
        self.add_projections(channels, heads=heads, qk_norm=qk_norm)
        zero_init(self.out)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, C, H, W] for features h, [B, C, H, W]."""
        branch = self.attend_all(self.norm(h).flatten(2).transpose(1, 2))
        return h + branch.transpose(1, 2).reshape(h.shape)


class Downsample(nn.Module):
    """Downsampling by 2 with a strided convolution.

    Args:
        channels: Channels in and out.
        padding: 1 on every side, or 0: only on the right and below.
    """

    def __init__(self, channels: int, padding: int = 1) -> None:
        super().__init__()
        self.pad = nn.Identity() if padding else nn.ZeroPad2d((0, 1, 0, 1))
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, C, H / 2, W / 2]."""
        return self.conv(self.pad(h))


class Upsample(nn.Module):
    """Upsampling by 2: nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, C, 2 * H, 2 * W]."""
        return self.conv(functional.interpolate(h, scale_factor=2.0, mode="nearest"))
