"""Images decoded at their own size, as those are that a network upscales."""

import hashlib
import io
import multiprocessing
import os
from dataclasses import dataclass

from PIL import Image

from iddm_cli.data.decoding.formats.pillow import METADATA_ERRORS
from iddm_cli.data.decoding.formats.table import SIGNATURE_BYTES, find_format
from iddm_cli.data.decoding.images import (
    DecodedImage,
    ImageHandle,
    UnreadableImageError,
    decode_image,
    describe_error,
)
from iddm_cli.data.decoding.preprocess import (
    PixelSpec,
    PreparedImage,
    PrepareResult,
    prepare_image,
)
from iddm_cli.profiles.settings import BackgroundName
from iddm_cli.value_range import ValueRange

STDERR = 2

TOO_LARGE = "too large: "
"""Begins the reason why an image is refused for its size."""


@dataclass(frozen=True)
class OwnSizeSpec:
    """What the pixels of an image depend on, besides its file, whose size they keep."""

    channels: int
    background: BackgroundName
    values: ValueRange


@dataclass(frozen=True)
class OpenImage:
    """A handle of an image that is decoded already."""

    decoded: DecodedImage

    def open(self, min_side: int = 0) -> DecodedImage:  # noqa: ARG002
        """Return the image."""
        return self.decoded


@dataclass(frozen=True)
class ImageBytes:
    """A handle of the bytes of an image file.

    Attributes:
        content: The bytes.
        most_pixels: Pixels that the image may have, at most.
    """

    content: bytes
    most_pixels: int

    def open(self, min_side: int = 0) -> DecodedImage:
        """Decode the image; see `ImageHandle.open`.

        Raises:
            UnreadableImageError: It cannot be decoded, or has too many pixels: if its header says
                so, it is not decoded.
        """
        self._check_pixels(*read_size(self.content))
        decoded = decode_image(io.BytesIO(self.content), min_side)
        self._check_pixels(decoded.width, decoded.height)
        return decoded

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self.most_pixels:
            raise UnreadableImageError(
                f"{TOO_LARGE}{width} x {height} pixels; at most {self.most_pixels:,}"
            )


def read_size(content: bytes) -> tuple[int, int]:
    """Return the width and height that the header of a file gives; 0, 0 if Pillow reads none."""
    row = find_format(content[:SIGNATURE_BYTES])
    try:
        with Image.open(io.BytesIO(content), formats=row.plugins if row else ()) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{TOO_LARGE}more pixels than any image may have") from error
    except METADATA_ERRORS:
        return 0, 0


def prepare_at_own_size(spec: OwnSizeSpec, handle: ImageHandle) -> PrepareResult:
    """Decode one image at its own size; return the reason if that fails."""
    try:
        decoded = handle.open()
    except UnreadableImageError as error:
        return str(error)
    size = (decoded.height, decoded.width)
    pixels = PixelSpec(size, spec.channels, "crop", spec.background, spec.values)
    return prepare_image(pixels, OpenImage(decoded))


def prepare_quietly(spec: OwnSizeSpec, handle: ImageHandle) -> PrepareResult:
    """Decode one image of a client in a worker process; return the reason if that fails in any way.

    Decoders print nothing there from now on: what C libraries print of damaged files would let a
    client fill the log of a server.
    """
    if multiprocessing.parent_process() is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDERR)
        os.close(null)
    try:
        return prepare_at_own_size(spec, handle)
    except Exception as error:  # noqa: BLE001 - numbers of a damaged header may lead anywhere
        return describe_error(error)


def find_noise_index(image: PreparedImage) -> int:
    """Return the noise index of an upscaled image, from 0 to 2^32 - 1.

    Its size and pixels alone decide it, so that the result depends on no other image.
    """
    size = f"{image.width}x{image.height}/".encode()
    digest = hashlib.sha256(size + image.digest.encode()).digest()
    return int.from_bytes(digest[:4], "little")
