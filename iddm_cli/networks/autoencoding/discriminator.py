"""The discriminator of patches: how real each patch of an image looks (PatchGAN).

Isola et al. 2017, arXiv:1611.07004, section 3.2.2 and appendix 6.1.2. An autoencoder is trained
against it, as in VQGAN (Esser et al. 2021, arXiv:2012.09841, section 3.1). Group normalisation
takes the place of batch normalisation, so that what it says of an image depends on no other.
"""

import math

from torch import Tensor, nn

WIDEST = 8
"""Channels of the innermost layers at most, as a multiple of those of the first."""

SLOPE = 0.2
"""Slope of the activation below 0."""

GROUPS = 32
"""Groups of each normalisation at most."""

INITIAL_DEVIATION = 0.02
"""Standard deviation of the initial weights (Isola et al. 2017, appendix 6.2)."""


class PatchDiscriminator(nn.Module):
    """Convolutions that halve the size, and two that do not; no layer sees the whole image.

    With three layers, each output sees 70 x 70 pixels. Height and width of images are at least
    `smallest_side(layers)`.

    Args:
        channels: Channels of the images, C.
        base_channels: Channels of the first layer; each further layer has twice as many, up to 8x.
        layers: Convolutions that halve the size.
    """

    def __init__(self, channels: int, *, base_channels: int, layers: int) -> None:
        super().__init__()
        widths = [base_channels * min(2**number, WIDEST) for number in range(layers + 1)]
        blocks: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1)]
        for number in range(1, layers + 1):
            stride = 2 if number < layers else 1
            blocks += [
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(widths[number - 1], widths[number], 4, stride=stride, padding=1),
                nn.GroupNorm(math.gcd(GROUPS, widths[number]), widths[number]),
            ]
        blocks += [nn.LeakyReLU(SLOPE), nn.Conv2d(widths[-1], 1, 4, padding=1)]
        self.layers = nn.Sequential(*blocks)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)

    def forward(self, x: Tensor) -> Tensor:
        """Return how real each patch looks, float32, [B, patches]: high where it does."""
        scores: Tensor = self.layers(x)
        return scores.flatten(1).float()
