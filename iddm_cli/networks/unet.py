"""The U-Net: residual blocks with scale and shift, attention at chosen levels.

With silu, patch_size 1 and no qk_norm it is what diffusers' UNet2DModel can express, under other
names; the time embedding has its cosines first (`flip_sin_to_cos=True`).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.blocks import (
    ACTIVATIONS,
    EPS,
    Downsample,
    ResidualBlock,
    SelfAttention,
    Upsample,
    zero_init,
)
from iddm_cli.networks.embeddings import ConditionEmbedding

MakeBlock = Callable[[int, int], ResidualBlock]
MakeAttention = Callable[[int], SelfAttention]


class Level(nn.Module):
    """Residual blocks of one size, each followed by attention if `attention` is given."""

    def __init__(
        self, widths: list[tuple[int, int]], block: MakeBlock, attention: MakeAttention | None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([block(channels, out) for channels, out in widths])
        self.attentions = nn.ModuleList([attention(out) for _, out in widths] if attention else [])

    def step(self, index: int, h: Tensor, embedding: Tensor) -> Tensor:
        """Apply block number `index`, and its attention."""
        h = self.blocks[index](h, embedding)
        return self.attentions[index](h) if self.attentions else h


class DownLevel(Level):
    """A level on the way down; the features after each block become skip connections."""

    def forward(self, h: Tensor, embedding: Tensor) -> list[Tensor]:
        """Return the features after each block; the last ones are the input of the next level."""
        features = []
        for index in range(len(self.blocks)):
            h = self.step(index, h, embedding)
            features.append(h)
        return features


class UpLevel(Level):
    """A level on the way up; each block also receives one skip connection."""

    def forward(self, h: Tensor, embedding: Tensor, skips: list[Tensor]) -> Tensor:
        """Return the features after the last block; removes its skips from the end of the list."""
        for index in range(len(self.blocks)):
            h = self.step(index, torch.cat([h, skips.pop()], dim=1), embedding)
        return h


class Middle(nn.Module):
    """Block, attention, block at the smallest size."""

    def __init__(self, channels: int, block: MakeBlock, attention: MakeAttention) -> None:
        super().__init__()
        self.before = block(channels, channels)
        self.attention = attention(channels)
        self.after = block(channels, channels)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return [B, C, H, W] for features h, [B, C, H, W]."""
        return self.after(self.attention(self.before(h, embedding)), embedding)


class UNet(nn.Module):
    """A U-Net over images, with a skip connection for every feature on the way down.

    Height and width must be divisible by patch_size * 2 ** (levels - 1).

    Args:
        channels: Channels of the images, C.
        num_classes: Number of classes, K; 0 ignores labels.
        base_channels: Channels of level 0.
        channel_multipliers: Channels of each level as multiples of base_channels.
        blocks_per_level: Residual blocks of each level on the way down; one more on the way up.
        attention_levels: Levels whose blocks are followed by attention.
        head_channels: Channels of one attention head; None: one head has them all.
        norm_groups: Groups of each normalisation.
        activation: Name of the activation function.
        dropout: Dropout probability in residual blocks.
        patch_size: Side of the pixel patches folded into channels first.
        conditioning: How blocks are conditioned: scale_shift, or shift.
        norm_eps: Epsilon that each normalisation adds to the variance.
        downsample_padding: 1 pads every side before downsampling; 0 right and bottom only.
        frequency_shift: Frequency shift of the time embedding, 0 or 1.
        qk_norm: Whether attention normalises queries and keys.
        augmentation: Length of the description of an augmentation; 0 ignores it.
        condition_channels: Channels of x_t after those of the image, which the network only reads.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,
        base_channels: int,
        channel_multipliers: Sequence[int],
        blocks_per_level: int,
        attention_levels: Sequence[int],
        head_channels: int | None,
        norm_groups: int,
        activation: str = "silu",
        dropout: float = 0.0,
        patch_size: int = 1,
        conditioning: str = "scale_shift",
        norm_eps: float = EPS,
        downsample_padding: int = 1,
        frequency_shift: int = 0,
        qk_norm: bool = False,
        augmentation: int = 0,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        make_activation = ACTIVATIONS[activation]
        block = partial(
            ResidualBlock,
            embedding=4 * widths[0],
            groups=norm_groups,
            dropout=dropout,
            activation=make_activation,
            conditioning=conditioning,
            eps=norm_eps,
        )
        attention = partial(
            SelfAttention,
            head_channels=head_channels,
            groups=norm_groups,
            eps=norm_eps,
            qk_norm=qk_norm,
        )
        attentions = [
            attention if level in attention_levels else None for level in range(len(widths))
        ]
        folded = channels * patch_size**2
        folded_in = (channels + condition_channels) * patch_size**2

        self.patch_size = patch_size
        self.embedding = ConditionEmbedding(
            widths[0],
            4 * widths[0],
            num_classes=num_classes,
            activation=make_activation,
            shift=frequency_shift,
            augmentation=augmentation,
        )
        self.conv_in = nn.Conv2d(folded_in, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_build_down_levels(widths, blocks_per_level, block, attentions))
        self.downsample = nn.ModuleList(
            [Downsample(width, downsample_padding) for width in widths[:-1]]
        )
        self.middle = Middle(widths[-1], block, attention)
        self.up = nn.ModuleList(_build_up_levels(widths, blocks_per_level, block, attentions))
        self.upsample = nn.ModuleList([Upsample(width) for width in widths[:0:-1]])
        self.norm_out = nn.GroupNorm(norm_groups, widths[0], eps=norm_eps)
        self.activation = make_activation()
        self.conv_out = nn.Conv2d(widths[0], folded, 3, padding=1)
        zero_init(self.conv_out)

    def units(self) -> list[nn.Module]:
        """Return the modules that FSDP shards, and gathers one at a time.

        A level is not one of them: it changes the list of skip connections.
        """
        kinds = (ResidualBlock, SelfAttention)
        return [module for module in self.modules() if isinstance(module, kinds)]

    def edge_layers(self) -> list[nn.Module]:
        """Return the layers that read images and write them."""
        return [self.conv_in, self.conv_out]

    def class_table(self) -> nn.Embedding | None:
        """Return the table of class vectors, whose last row means "no label"; None: no classes."""
        return self.embedding.classes

    def class_bias(self) -> nn.Parameter:
        """Return the bias that class vectors are added to."""
        return self.embedding.class_bias()

    def forward(
        self, x_t: Tensor, t: Tensor, label: Tensor, augmentation: Tensor | None = None
    ) -> Tensor:
        """Return [B, C, H, W] for noisy images x_t, [B, C, H, W], times [B] and labels [B].

        Condition channels follow those of the image in x_t. `augmentation`, [B, conditions],
        describes how each image was augmented; None: it was not.
        """
        embedding = self.embedding(t, label, augmentation)
        h = self.conv_in(functional.pixel_unshuffle(x_t, self.patch_size))
        h, skips = self._descend(h, embedding)
        h = self._ascend(self.middle(h, embedding), skips, embedding)
        h = self.conv_out(self.activation(self.norm_out(h)))
        return functional.pixel_shuffle(h, self.patch_size)

    def _descend(self, h: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        skips = [h]
        for number, level in enumerate(self.down):
            skips += level(h, embedding)
            h = skips[-1]
            if number < len(self.downsample):
                h = self.downsample[number](h)
                skips.append(h)
        return h, skips

    def _ascend(self, h: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        for number, level in enumerate(self.up):
            h = level(h, embedding, skips)
            if number < len(self.upsample):
                h = self.upsample[number](h)
        return h


def _build_down_levels(
    widths: list[int], blocks: int, block: MakeBlock, attentions: Sequence[MakeAttention | None]
) -> list[DownLevel]:
    inputs = [widths[0], *widths[:-1]]
    return [
        DownLevel([(first, width)] + [(width, width)] * (blocks - 1), block, attention)
        for first, width, attention in zip(inputs, widths, attentions, strict=True)
    ]


def _build_up_levels(
    widths: list[int], blocks: int, block: MakeBlock, attentions: Sequence[MakeAttention | None]
) -> list[UpLevel]:
    """Return the levels from the smallest size up; each block also takes one skip connection."""
    levels = []
    below = widths[-1]
    for number in reversed(range(len(widths))):
        width = widths[number]
        skips = [width] * blocks + [widths[max(number - 1, 0)]]
        inputs = [below, *[width] * blocks]
        pairs = [(h + skip, width) for h, skip in zip(inputs, skips, strict=True)]
        levels.append(UpLevel(pairs, block, attentions[number]))
        below = width
    return levels
