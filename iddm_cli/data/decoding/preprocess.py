"""Preprocessing: decode one image and convert it to the pixels that a pack stores."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.resize import flatten_image, is_grey, reduce_to_8_bits, to_pixels
from iddm_cli.profiles.settings import AspectName, BackgroundName, DataSettings

Channels = Literal[1, 3]


def digest_pixels(planes: bytes) -> str:
    """Return the digest of the pixels of one image."""
    return hashlib.blake2b(planes, digest_size=16).hexdigest()


@dataclass(frozen=True)
class PreparedImage:
    """The pixels of an image at the size trained at, and properties of its file."""

    planes: bytes  # uint8 [C, H, W]; empty once they are written
    digest: str
    width: int  # of the file, upright, in pixels
    height: int
    grey: bool
    animated: bool


PrepareResult = PreparedImage | str
"""A prepared image, or the reason why it could not be decoded."""


@dataclass(frozen=True)
class PixelSpec:
    """Everything that the stored pixels of an image depend on, besides its file."""

    size: tuple[int, int]  # height, width
    channels: Channels
    aspect: AspectName
    background: BackgroundName

    @classmethod
    def from_settings(cls, settings: DataSettings, channels: Channels) -> "PixelSpec":
        """Return the specification of these settings, with a number of channels."""
        return cls(settings.stored_size, channels, settings.aspect, settings.background)

    @property
    def image_bytes(self) -> int:
        """Number of bytes of one image."""
        return self.size[0] * self.size[1] * self.channels

    def to_pixels(self, image: Image.Image) -> ndarray:
        """Return the pixels of an image as they are stored, uint8 [H, W, C].

        Raises:
            UnreadableImageError: Its colour mode is not supported.
        """
        return to_pixels(
            image,
            size=self.size,
            channels=self.channels,
            aspect=self.aspect,
            background=self.background,
        )


def prepare_image(spec: PixelSpec, handle: ImageHandle) -> PrepareResult:
    """Decode one image and convert it to pixels; return the reason if that fails.

    An exception would carry the half-decoded image along to the parent process.
    """
    try:
        decoded = handle.open(max(spec.size))
        flat = flatten_image(reduce_to_8_bits(decoded), spec.background)
        pixels = spec.to_pixels(flat)
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
