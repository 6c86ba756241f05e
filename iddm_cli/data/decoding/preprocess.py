"""Preparing: one picture decoded and brought to the pixels that are stored of it."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.resize import flatten_image, is_grey, to_pixels
from iddm_cli.profiles.settings import AspectName, BackgroundName, DataSettings

Channels = Literal[1, 3]


def digest_pixels(planes: bytes) -> str:
    """Return the digest of one picture's pixels."""
    return hashlib.blake2b(planes, digest_size=16).hexdigest()


@dataclass(frozen=True)
class PreparedImage:
    """A picture brought to its size, and what it was like before."""

    planes: bytes  # uint8 [C, H, W]; empty once written
    digest: str
    width: int
    height: int
    grey: bool
    animated: bool


PrepareResult = PreparedImage | str
"""A picture, or the reason why there is none."""


@dataclass(frozen=True)
class PixelSpec:
    """All that the pixels of a stored picture depend on."""

    size: tuple[int, int]
    channels: Channels
    aspect: AspectName
    background: BackgroundName

    @classmethod
    def from_settings(cls, settings: DataSettings, channels: Channels) -> "PixelSpec":
        """Return how these settings store pictures of so many channels."""
        return cls(settings.stored_size, channels, settings.aspect, settings.background)

    @property
    def image_bytes(self) -> int:
        """Bytes of one picture."""
        return self.size[0] * self.size[1] * self.channels

    def to_pixels(self, image: Image.Image) -> ndarray:
        """Return a picture as it is stored, uint8, [H, W, C].

        Raises:
            UnreadableImage: The picture's numbers have no known meaning as brightness.
        """
        return to_pixels(
            image,
            size=self.size,
            channels=self.channels,
            aspect=self.aspect,
            background=self.background,
        )


def prepare_image(look: PixelSpec, picture: ImageHandle) -> PrepareResult:
    """Decode one picture and bring it to its size; a reason, not an error, where that fails.

    Errors are not sent between processes: they would drag half-decoded pictures along.
    """
    try:
        decoded = picture.open(max(look.size))
        flat = flatten_image(decoded.image, look.background)
        pixels = look.to_pixels(flat)
    except UnreadableImageError as error:
        return str(error)
    planes = np.moveaxis(pixels, -1, 0).tobytes()
    return PreparedImage(
        planes=planes,
        digest=digest_pixels(planes),
        width=decoded.width,
        height=decoded.height,
        grey=is_grey(flat),
        animated=decoded.animated,
    )
