"""Embeddings: time and class as one vector that conditions every block; positions of patches."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from iddm_cli.networks.augmentation import AugmentationEmbedding


def sinusoid(t: Tensor, width: int, shift: int = 0) -> Tensor:
    """Return times as cosines and sines of falling frequency (Vaswani et al. 2017, section 3.5).

    Args:
        t: Times, [B].
        width: Length of the code; even.
        shift: 1 lets the frequencies fall to 1 / 10000 itself (DDPM, arXiv:2006.11239, its code).

    Returns:
        [B, width], float32: cosines first, frequencies 10000^(-2i / (width - 2 shift)).
    """
    half = width // 2
    exponent = -math.log(10_000) * torch.arange(half, device=t.device, dtype=torch.float32)
    angle = t.float()[:, None] * torch.exp(exponent / (half - shift))
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def encode_positions(
    height: int, width: int, channels: int, *, span: int, device: torch.device
) -> Tensor:
    """Return the positions of a grid as sines and cosines (DiT, arXiv:2212.09748, its code).

    Each side is spread over `span` positions, and positions between them are computed. So a grid of
    any size covers the same range, and one of `span` x `span` has the whole numbers of DiT.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Length of a code, a multiple of 4.
        span: Positions along a side.
        device: Where to compute.

    Returns:
        [height * width, channels], float32, row by row. The first half encodes the column, the
        second the row; each half has its sines first, with frequencies 10000^(-4i / channels).
    """
    row, column = (_encode_side(side, channels // 2, span, device) for side in (height, width))
    codes = [column.expand(height, -1, -1), row[:, None].expand(-1, width, -1)]
    return torch.cat(codes, dim=2).flatten(0, 1)


def _encode_side(count: int, channels: int, span: int, device: torch.device) -> Tensor:
    """Return the codes of the positions along a side, [count, channels]."""
    middle = torch.arange(count, device=device, dtype=torch.float32) + 0.5
    position = middle * (span / count) - 0.5
    return sinusoid(position, channels).roll(channels // 2, dims=1)


class ConditionEmbedding(nn.Module):
    """Time embedding through a two-layer perceptron, plus a learned vector for each class.

    Args:
        width: Length of the time code; even.
        out: Length of the embedding.
        num_classes: Number of classes, K; row K of the table means "no label". 0 makes no table.
        activation: Makes the non-linearity.
        shift: The shift of the time code's frequencies.
        augmentation: Length of the description of an augmentation; 0 makes no layer for it.
    """

    def __init__(
        self,
        width: int,
        out: int,
        *,
        num_classes: int,
        activation: Callable[[], nn.Module],
        shift: int = 0,
        augmentation: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.shift = shift
        self.perceptron = nn.Sequential(nn.Linear(width, out), activation(), nn.Linear(out, out))
        self.classes = nn.Embedding(num_classes + 1, out) if num_classes else None
        self.augmentation = AugmentationEmbedding(augmentation, out) if augmentation else None

    def class_bias(self) -> nn.Parameter:
        """Return the bias that class vectors are added to."""
        last = self.perceptron[-1]
        assert isinstance(last, nn.Linear), "the perceptron ends with a linear layer"
        return last.bias

    def forward(self, t: Tensor, label: Tensor, augmentation: Tensor | None = None) -> Tensor:
        """Return the embedding of each image, [B, out].

        Args:
            t: Times, [B].
            label: Labels, [B], int64 in [0, K].
            augmentation: How each image was augmented, [B, conditions]; None: it was not.
        """
        embedding = self.perceptron(sinusoid(t, self.width, self.shift))
        if self.classes is not None:
            embedding = embedding + self.classes(label)
        if self.augmentation is not None and augmentation is not None:
            embedding = embedding + self.augmentation(augmentation)
        return embedding
