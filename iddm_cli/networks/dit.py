"""The Diffusion Transformer: patches of an image as tokens (Peebles & Xie 2023, arXiv:2212.09748).

Its options are those of JiT (Li & He 2025, arXiv:2511.13720), which trains such a network on large
patches of pixels: a bottleneck in the embedding of patches, RMSNorm, SwiGLU, and normalised queries
and keys.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from iddm_cli.networks.attention import RMS_EPS, RMSNorm, TokenAttention
from iddm_cli.networks.blocks import zero_init
from iddm_cli.networks.embeddings import ConditionEmbedding, encode_positions

TIME_CODE = 256
"""Length of the time code."""

EMBEDDING_STD = 0.02
"""Standard deviation of the initial weights of the condition embedding."""


class FeedForward(nn.Module):
    """Two layers around a GELU, for each token by itself.

    Args:
        width: Channels in and out.
        ratio: Channels between the layers, as a multiple of `width`.
        dropout: Share of activations dropped before the second layer.
    """

    def __init__(self, width: int, ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = max(1, int(width * ratio))
        self.layer_in = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.layer_out = nn.Linear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, N, width] for tokens h, [B, N, width]."""
        h = functional.gelu(self.layer_in(h), approximate="tanh")
        return self.layer_out(self.dropout(h))


class SwiGLU(nn.Module):
    """Two layers around a gate (Shazeer 2020, arXiv:2002.05202, eq. 6), for each token by itself.

    It has two thirds of the channels of a `FeedForward`, so that both have as many weights.

    Args:
        width: Channels in and out.
        ratio: As of a `FeedForward`.
        dropout: Share of activations dropped before the second layer.
    """

    def __init__(self, width: int, ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = max(1, int(width * ratio * 2 / 3))
        self.gate = nn.Linear(width, hidden)
        self.layer_in = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.layer_out = nn.Linear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        """Return [B, N, width] for tokens h, [B, N, width]."""
        h = functional.silu(self.gate(h)) * self.layer_in(h)
        return self.layer_out(self.dropout(h))


FEED_FORWARDS: dict[str, type[FeedForward] | type[SwiGLU]] = {
    "gelu": FeedForward,
    "swiglu": SwiGLU,
}

TOKEN_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "layer": partial(nn.LayerNorm, elementwise_affine=False, eps=RMS_EPS),
    "rms": partial(RMSNorm, affine=False),
}
"""Normalisations of a token. The condition scales their results, so they have no weights."""


class TransformerBlock(nn.Module):
    """Attention and a feed-forward network, both conditioned by adaLN-Zero (DiT, section 3.2).

    Args:
        width: Channels of a token.
        heads: Attention heads.
        mlp: Name of the feed-forward network.
        mlp_ratio: Its inner channels as a multiple of `width`.
        norm: Name of the normalisation.
        qk_norm: Whether queries and keys are normalised.
        dropout: Dropout probability in the feed-forward network.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        mlp: str,
        mlp_ratio: float,
        norm: str,
        qk_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.condition = nn.Linear(width, 6 * width)
        self.norm1 = TOKEN_NORMS[norm](width)
        self.attention = TokenAttention(width, heads=heads, qk_norm=qk_norm)
        self.norm2 = TOKEN_NORMS[norm](width)
        self.mlp = FEED_FORWARDS[mlp](width, mlp_ratio, dropout)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Return [B, N, width] for tokens h, [B, N, width], and the condition, [B, width]."""
        condition = self.condition(functional.silu(embedding))[:, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = condition.chunk(6, dim=2)
        h = h + gate1 * self.attention(self.norm1(h) * (1 + scale1) + shift1)
        return h + gate2 * self.mlp(self.norm2(h) * (1 + scale2) + shift2)


class DiT(nn.Module):
    """A transformer over the patches of an image.

    Height and width must be divisible by patch_size. Positions are computed, so that the network
    takes images of any such size.

    Args:
        channels: Channels of the images, C.
        num_classes: Number of classes, K; 0 ignores labels.
        width: Channels of a token, a multiple of 4 and of head_channels.
        depth: Number of blocks.
        head_channels: Channels of one attention head.
        patch_size: Side of a patch in pixels.
        bottleneck: Channels between the two layers that embed a patch; None: a single layer.
        mlp: The feed-forward network: gelu, or swiglu.
        mlp_ratio: Its inner channels as a multiple of width.
        norm: The normalisation of tokens: layer, or rms.
        qk_norm: Whether attention normalises queries and keys.
        position_span: Positions along a side that those of the patches are spread over.
        dropout: Dropout probability in feed-forward networks.
        augmentation: Length of the description of an augmentation; 0 ignores it.
        condition_channels: Channels of x_t after those of the image, which the network only reads.
    """

    def __init__(
        self,
        *,
        channels: int,
        num_classes: int,
        width: int,
        depth: int,
        head_channels: int,
        patch_size: int,
        bottleneck: int | None = None,
        mlp: str = "gelu",
        mlp_ratio: float = 4.0,
        norm: str = "layer",
        qk_norm: bool = False,
        position_span: int = 16,
        dropout: float = 0.0,
        augmentation: int = 0,
        condition_channels: int = 0,
    ) -> None:
        super().__init__()
        block = partial(
            TransformerBlock,
            heads=width // head_channels,
            mlp=mlp,
            mlp_ratio=mlp_ratio,
            norm=norm,
            qk_norm=qk_norm,
            dropout=dropout,
        )
        folded = channels * patch_size**2
        folded_in = (channels + condition_channels) * patch_size**2

        self.width = width
        self.patch_size = patch_size
        self.position_span = position_span
        self.embedding = ConditionEmbedding(
            TIME_CODE,
            width,
            num_classes=num_classes,
            activation=nn.SiLU,
            augmentation=augmentation,
        )
        self.patch_in = _build_patch_embedding(folded_in, width, bottleneck)
        self.blocks = nn.ModuleList([block(width) for _ in range(depth)])
        self.condition = nn.Linear(width, 2 * width)
        self.norm_out = TOKEN_NORMS[norm](width)
        self.patch_out = nn.Linear(width, folded)
        self._init_weights()

    def units(self) -> list[nn.Module]:
        """Return the modules that FSDP shards, and gathers one at a time."""
        return [*self.blocks]

    def edge_layers(self) -> list[nn.Module]:
        """Return the layers that read images and write them."""
        reading = [layer for layer in self.patch_in.modules() if isinstance(layer, nn.Linear)]
        return [*reading, self.patch_out]

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
        patches = functional.pixel_unshuffle(x_t, self.patch_size)
        height, width = patches.shape[2:]
        h = self.patch_in(patches.flatten(2).transpose(1, 2))
        h = h + encode_positions(
            height, width, self.width, span=self.position_span, device=h.device
        )
        for block in self.blocks:
            h = block(h, embedding)
        shift, scale = self.condition(functional.silu(embedding))[:, None].chunk(2, dim=2)
        h = self.patch_out(self.norm_out(h) * (1 + scale) + shift)
        h = h.transpose(1, 2).unflatten(2, (height, width))
        return functional.pixel_shuffle(h, self.patch_size)

    def _init_weights(self) -> None:
        """Initialise the weights as DiT does: blocks pass their input through, the output is 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in self.embedding.modules():  # the layer for augmentation stays zero
            if isinstance(layer, nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=EMBEDDING_STD)
        for module in self.modules():
            if isinstance(module, TransformerBlock | DiT):
                zero_init(module.condition)
        zero_init(self.patch_out)


def _build_patch_embedding(folded: int, width: int, bottleneck: int | None) -> nn.Module:
    """Return a layer from the pixels of a patch to a token; two around a bottleneck (JiT)."""
    if bottleneck is None:
        return nn.Linear(folded, width)
    return nn.Sequential(nn.Linear(folded, bottleneck, bias=False), nn.Linear(bottleneck, width))
