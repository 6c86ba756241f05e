"""The network of IDDM (Integrated Design Diffusion Model), for checkpoints that it has trained.

Names and shapes of its tensors are that program's, so that its files load without renaming. The
time code is added as it is, with no perceptron; attention stands at every size, the full one
included.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.augmentation import AugmentationEmbedding
from iddm_cli.networks.blocks import ACTIVATIONS
from iddm_cli.networks.embeddings import sinusoid
from iddm_cli.networks.kernels import KernelModule, attend

CONDITION = 256
"""Dimensions of the time embedding and of the class embedding."""

HEADS = 4


def residual_activation(name: str) -> nn.Module:
    """Return the activation after a residual sum: the same, but steeper for lrelu."""
    return nn.LeakyReLU(0.01) if name == "lrelu" else ACTIVATIONS[name]()


class DoubleConv(nn.Module):
    """Two convolutions, each normalised over all its channels.

    Args:
        channels: Channels in.
        out: Channels out.
        activation: Name of the non-linearity between them.
        middle: Channels between them; None: as many as come out.
    """

    def __init__(
        self, channels: int, out: int, activation: str, *, middle: int | None = None
    ) -> None:
        super().__init__()
        middle = middle or out
        self.double_conv = nn.Sequential(
            nn.Conv2d(channels, middle, 3, padding=1, bias=False),
            nn.GroupNorm(1, middle),
            ACTIVATIONS[activation](),
            nn.Conv2d(middle, out, 3, padding=1, bias=False),
            nn.GroupNorm(1, out),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, out, H, W] for features h, [B, channels, H, W]."""
        return self.double_conv(h)


class ResidualDoubleConv(DoubleConv):
    """A double convolution with a residual connection."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__(channels, channels, activation)
        self.after = residual_activation(activation)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, channels, H, W] for features h, [B, channels, H, W]."""
        return self.after(h + self.double_conv(h))


class HeadedAttention(KernelModule):
    """Attention of several heads, its tensors named as those of nn.MultiheadAttention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B, N, C] for tokens [B, N, C]."""
        projected = functional.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in projected.chunk(3, dim=2)
        )
        seen = attend(query, key, value, self.kernels)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class AttentionBlock(nn.Module):
    """A transformer's layer over all positions: attention, then a perceptron of equal width."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.mha = HeadedAttention(channels)
        self.ln = nn.LayerNorm(channels)
        self.ff_self = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            ACTIVATIONS[activation](),
            nn.Linear(channels, channels),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, C, H, W] for features h, [B, C, H, W]."""
        tokens = h.flatten(2).transpose(1, 2)
        tokens = tokens + self.mha(self.ln(tokens))
        tokens = tokens + self.ff_self(tokens)
        return tokens.transpose(1, 2).reshape(h.shape)


def condition_layer(out: int) -> nn.Sequential:
    """Return a layer from the condition, [B, 256], to a bias of the features, [B, out]."""
    return nn.Sequential(nn.SiLU(), nn.Linear(CONDITION, out))


class Down(nn.Module):
    """A level on the way down, at half the size."""

    def __init__(self, channels: int, out: int, activation: str) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(2),
            ResidualDoubleConv(channels, activation),
            DoubleConv(channels, out, activation),
        )
        self.emb_layer = condition_layer(out)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Return [B, out, H / 2, W / 2] for features h, [B, channels, H, W]."""
        return self.maxpool_conv(h) + self.emb_layer(condition)[:, :, None, None]


class Up(nn.Module):
    """A level on the way up, at twice the size, with a skip connection."""

    def __init__(self, channels: int, out: int, activation: str) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            ResidualDoubleConv(channels, activation),
            DoubleConv(channels, out, activation, middle=channels // 2),
        )
        self.emb_layer = condition_layer(out)

    def forward(self, h: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        """Return [B, out, 2 * H, 2 * W]; h and `skip` have `channels` together."""
        h = functional.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)
        h = self.conv(torch.cat([skip, h], dim=1))
        return h + self.emb_layer(condition)[:, :, None, None]


class ClassVectors(nn.Module):
    """A learned vector for each class; "no label" has none, and adds nothing."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.label_emb = nn.Embedding(num_classes, CONDITION)

    def forward(self, label: Tensor) -> Tensor:
        """Return [B, 256] for labels, [B], int64 in [0, K]."""
        known = label < self.label_emb.num_embeddings
        vectors = self.label_emb(torch.where(known, label, 0))
        return vectors * known[:, None].to(vectors.dtype)


class IddmUNet(nn.Module):
    """IDDM's U-Net over images whose height and width are divisible by 8.

    Args:
        channels: Channels of the images, C.
        num_classes: Number of classes, K; 0 ignores labels.
        activation: Name of the non-linearity; IDDM's own default is gelu.
        augmentation: Length of the description of an augmentation; 0, as in IDDM, ignores it.
        condition_channels: Channels of x_t after those of the image, which the network only reads.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,
        activation: str = "gelu",
        augmentation: int = 0,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        act = activation
        self.condition_adapter = ClassVectors(num_classes) if num_classes else None
        self.augmentation = AugmentationEmbedding(augmentation, CONDITION) if augmentation else None
        self.inc = DoubleConv(channels + condition_channels, 64, act)
        self.down1, self.sa1 = Down(64, 128, act), AttentionBlock(128, act)
        self.down2, self.sa2 = Down(128, 256, act), AttentionBlock(256, act)
        self.down3, self.sa3 = Down(256, 256, act), AttentionBlock(256, act)
        self.bot1 = DoubleConv(256, 512, act)
        self.bot2 = DoubleConv(512, 512, act)
        self.bot3 = DoubleConv(512, 256, act)
        self.up1, self.sa4 = Up(512, 128, act), AttentionBlock(128, act)
        self.up2, self.sa5 = Up(256, 64, act), AttentionBlock(64, act)
        self.up3, self.sa6 = Up(128, 64, act), AttentionBlock(64, act)
        self.outc = nn.Conv2d(64, channels, 1)

    def units(self) -> list[nn.Module]:
        """Return the modules that FSDP shards, and gathers one at a time."""
        kinds = (DoubleConv, AttentionBlock)
        return [module for module in self.modules() if isinstance(module, kinds)]

    def edge_layers(self) -> list[nn.Module]:
        """Return the layers that read images and write them."""
        return [self.inc.double_conv[0], self.outc]

    def class_table(self) -> nn.Embedding | None:
        """Return the table of class vectors; "no label" has none. None: no classes."""
        return self.condition_adapter.label_emb if self.condition_adapter else None

    def class_bias(self) -> nn.Parameter | None:
        """Return None: class vectors are added to the time embedding, which has no bias."""
        return None

    def forward(
        self, x_t: Tensor, t: Tensor, label: Tensor, augmentation: Tensor | None = None
    ) -> Tensor:
        """Return [B, C, H, W] for noisy images x_t, [B, C, H, W], times [B] and labels [B].

        Condition channels follow those of the image in x_t. `augmentation`, [B, conditions],
        describes how each image was augmented; None: it was not.
        """
        condition = self._condition(t, label)
        if self.augmentation is not None and augmentation is not None:
            condition = condition + self.augmentation(augmentation)
        first = self.inc(x_t)
        half = self.sa1(self.down1(first, condition))
        quarter = self.sa2(self.down2(half, condition))
        h = self.sa3(self.down3(quarter, condition))
        h = self.bot3(self.bot2(self.bot1(h)))
        h = self.sa4(self.up1(h, quarter, condition))
        h = self.sa5(self.up2(h, half, condition))
        h = self.sa6(self.up3(h, first, condition))
        return self.outc(h)

    def _condition(self, t: Tensor, label: Tensor) -> Tensor:
        """Return [B, 256]: sines first, unlike `sinusoid`; plus the class embedding."""
        time = sinusoid(t, CONDITION).roll(CONDITION // 2, dims=1)
        return time if self.condition_adapter is None else time + self.condition_adapter(label)
