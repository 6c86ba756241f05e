"""The feature network: a small residual network whose activations describe an image.

It is trained on the user's own images (see `feature_training`), so that nothing is downloaded, and
industrial images are not judged by what matters for photographs of dogs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_SIDE = 64
"""Images are reduced to this many pixels on the longer side, by averaging."""

CHANNELS = 32
DIMENSIONS = 6 * CHANNELS
"""Length of a feature vector of a network of the usual width."""


class FeatureNetwork(nn.Module):
    """Three stages of residual blocks (He et al. 2016), and a linear head.

    Args:
        channels: Channels of an image.
        outputs: Number of outputs of the head: classes, or the tasks of self-supervision.
        width: Channels of the first stage; the others have twice and four times as many.
    """

    def __init__(self, channels: int, outputs: int, *, width: int = CHANNELS) -> None:
        super().__init__()
        self.channels = channels
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.stages = nn.ModuleList(
            [
                _ResidualBlock(width, width, stride=1),
                _ResidualBlock(width, 2 * width, stride=2),
                _ResidualBlock(2 * width, 4 * width, stride=2),
            ]
        )
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, [B, outputs], of images in [-1, 1], [B, C, H, W]."""
        return self.describe(x)[1]

    def describe(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return feature vectors, [B, 6 width], and logits of images in [-1, 1], [B, C, H, W].

        Features are the means over all positions of the last two stages: the last tells what is
        shown, the one before it how sharp and how contrasted.
        """
        means = self._stage_means(x)
        return torch.cat(means[-2:], dim=1), self.head(means[-1])

    def _stage_means(self, x: Tensor) -> list[Tensor]:
        x = self.stem(_reduce(x))
        means = []
        for stage in self.stages:
            x = stage(x)
            means.append(x.mean(dim=(2, 3)))
        return means


class _ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalization, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layers(x) + self.shortcut(x))


def _reduce(x: Tensor) -> Tensor:
    """Average blocks of pixels, so that the longer side has at most LARGEST_SIDE."""
    height, width = x.shape[2:]
    scale = LARGEST_SIDE / max(height, width)
    if scale >= 1:
        return x
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return functional.interpolate(x, size=size, mode="area")
