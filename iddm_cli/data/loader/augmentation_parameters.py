"""Parameters of non-leaky augmentation: how they are sampled, and the vector of conditions.

Table 6 of Karras et al. 2022 (arXiv:2206.00364, appendix F.2), and changes of light and colour. All
parameters are 0 where an image stays as it is, and so is the vector that conditions the network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

UniformsFn = Callable[[str, int, Tensor, int], Tensor]
"""`uniforms(purpose, step, slots, count)` returns random numbers in [0, 1), float32 [B, count]."""

PURPOSE = "augment"
NUMBERS = 19
"""Random numbers of one image; further ones are appended, so that those before stay the same."""

HALF_STEP = 2.0**-25
"""Half of the distance between two random numbers: moves them from [0, 1) to (0, 1)."""

SCALE, STRETCH, SHIFT = 2.0**0.2, 2.0**0.2, 1 / 8
"""Scaling and stretching by one deviation, and shift by one as a share of the side (table 6)."""

CONTRAST, SATURATION, BRIGHTNESS = 2.0**0.25, 2.0**0.5, 0.1
"""One deviation of light and colour, half of those of Karras et al. 2020 (arXiv:2006.06676,
appendix B), so that few values leave the range of pixels."""

RGB = 3


@dataclass(frozen=True)
class AugmentationParameters:
    """The augmentation of each image of a batch: float64 [B], on the CPU, and 0 where it has none.

    Geometry is applied in the order of the fields, about the centre; then colour, then light.

    Attributes:
        flip_x: 1 mirrors left and right.
        flip_y: 1 mirrors top and bottom.
        scale: Binary logarithm of the magnification, in deviations.
        angle: Rotation in radians, counterclockwise.
        stretch: Binary logarithm of the stretch along an axis, in deviations; across it the image
            shrinks as much.
        stretch_angle: Angle of that axis to the horizontal, in radians, counterclockwise.
        shift_x: Shift to the right, in deviations.
        shift_y: Shift down, in deviations.
        brightness: What is added to all values, in deviations.
        contrast: Binary logarithm of what values are multiplied by, in deviations.
        saturation: Binary logarithm of what differences from grey are multiplied by, in deviations.
        hue: Rotation about the grey axis of RGB, in radians.
    """

    flip_x: Tensor
    flip_y: Tensor
    scale: Tensor
    angle: Tensor
    stretch: Tensor
    stretch_angle: Tensor
    shift_x: Tensor
    shift_y: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor

    @property
    def is_warped(self) -> Tensor:
        """Where pixels must be interpolated, bool [B]."""
        parts = (self.scale, self.angle, self.stretch, self.shift_x, self.shift_y)
        return torch.stack(parts).any(0)

    @property
    def is_recoloured(self) -> Tensor:
        """Where the colours of RGB change, bool [B]."""
        return torch.stack((self.saturation, self.hue)).any(0)

    @property
    def is_lit(self) -> Tensor:
        """Where brightness or contrast change, bool [B]."""
        return torch.stack((self.brightness, self.contrast)).any(0)

    def to_vector(self, channels: int) -> Tensor:
        """Return what conditions the network, float32 [B, `count_conditions(channels)`].

        Every vector belongs to one transformation. So angles enter by cosine and sine, and that of
        the stretched axis doubled: turned by half, it is the same axis. (The paper does not double
        it, so that opposite vectors mean the same.)
        """
        twice = 2 * self.stretch_angle
        parts = [
            *(self.flip_x, self.flip_y, self.scale, self.angle.cos() - 1, self.angle.sin()),
            *(self.stretch * twice.cos(), self.stretch * twice.sin(), self.shift_x, self.shift_y),
            *(self.brightness, self.contrast),
        ]
        if channels == RGB:
            parts += [self.saturation, self.hue.cos() - 1, self.hue.sin()]
        return torch.stack(parts, 1).float()

    def to_affine(self, height: int, width: int) -> Tensor:
        """Return the maps from output to input coordinates for affine_grid, float32 [B, 2, 3].

        Flips are not in them. Coordinates run from -1 to 1 along both sides, so that what turns
        must correct the aspect ratio.
        """
        # Image coordinates run down, so a counterclockwise angle is negative in them. The inverse
        # of a rotation or stretch has the opposite angle or exponent.
        along, across = STRETCH**-self.stretch, STRETCH**self.stretch
        mean, half = (along + across) / 2, (along - across) / 2
        cos, sin = half * (2 * self.stretch_angle).cos(), -half * (2 * self.stretch_angle).sin()
        a, b, d = mean + cos, sin, mean - cos  # the symmetric matrix [[a, b], [b, d]]
        shrink = SCALE**-self.scale
        cos, sin = shrink * self.angle.cos(), shrink * self.angle.sin()
        xx, xy = cos * a - sin * b, cos * b - sin * d
        yx, yy = sin * a + cos * b, sin * b + cos * d
        aspect = height / width
        x, y = 2 * SHIFT * self.shift_x, 2 * SHIFT * self.shift_y
        xy, yx = xy * aspect, yx / aspect
        rows = [xx, xy, -(xx * x + xy * y), yx, yy, -(yx * x + yy * y)]
        return torch.stack(rows, 1).view(-1, 2, 3).float()

    def to_colour(self) -> Tensor:
        """Return the matrices that change the colours of RGB, float32 [B, 3, 3].

        They turn and scale differences from grey, and leave the mean of the channels.
        """
        grey = torch.full((RGB, RGB), 1 / RGB, dtype=torch.float64)
        difference = torch.eye(RGB, dtype=torch.float64) - grey
        turn = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        saturation, hue = SATURATION ** self.saturation[:, None, None], self.hue[:, None, None]
        return (grey + saturation * (hue.cos() * difference + hue.sin() * turn)).float()

    def to_light(self) -> tuple[Tensor, Tensor]:
        """Return what values are multiplied by, and what is added then, float32 [B] each."""
        return (CONTRAST**self.contrast).float(), (BRIGHTNESS * self.brightness).float()


def count_conditions(channels: int) -> int:
    """Return the length of the vector that conditions the network."""
    return 14 if channels == RGB else 11


def sample_parameters(numbers: Tensor, probability: float) -> AugmentationParameters:
    """Return the parameters that belong to uniformly distributed numbers.

    Each of the transformations below is used with `probability`, by itself; left and right are
    exchanged in half of all images (table 6).

    Args:
        numbers: In [0, 1), float32 [B, NUMBERS], on the CPU.
        probability: In [0, 1].
    """
    columns = iter(numbers.double().T + HALF_STEP)

    def used() -> Tensor:
        return (next(columns) < probability).double()

    def coin() -> Tensor:
        return (next(columns) < 0.5).double()

    def normal() -> Tensor:
        return torch.special.ndtri(next(columns))

    def angle() -> Tensor:
        return math.pi * (2 * next(columns) - 1)

    flip_x, flip_y = coin(), used() * coin()
    scale, turn = used() * normal(), used() * angle()
    stretched = used()
    stretch_angle, stretch = stretched * angle(), stretched * normal()
    shifted = used()
    shift_x, shift_y = shifted * normal(), shifted * normal()
    lit = used()
    brightness, contrast = lit * normal(), lit * normal()
    coloured = used()
    saturation, hue = coloured * normal(), coloured * angle()
    return AugmentationParameters(
        flip_x=flip_x,
        flip_y=flip_y,
        scale=scale,
        angle=turn,
        stretch=stretch,
        stretch_angle=stretch_angle,
        shift_x=shift_x,
        shift_y=shift_y,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
    )
