"""Statistics of one image: decoded once and reduced to a few hundred bytes.

Worker processes compute them, since decoding may crash. Pixels never leave the worker, except for
the 16 x 16 thumbnail by which images are compared.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import DecodedImage, ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.decoding.resize import (
    flatten_image,
    has_transparency,
    is_grey,
    reduce_to_8_bits,
)
from iddm_cli.data.inspection.duplicates import THUMBNAIL_SIDE, dhash
from iddm_cli.profiles.settings import DataSettings

MAX_CONSTANT_RANGE = 8
"""Maximum range of the pixels of an image of one colour, in levels; compression adds noise."""

RED, GREEN, BLUE, GREY = range(4)
PLANES = [GREY], [RED, GREEN, BLUE]

STATS_DTYPE = np.dtype(
    [
        ("width", np.int32),  # after EXIF rotation, in pixels
        ("height", np.int32),
        ("mode", "U16"),  # see DecodedImage.mode
        ("format", "U8"),  # "" if the image is synthetic or held in memory
        ("grey", np.bool_),  # without any colour, however it is stored
        ("transparent", np.bool_),  # at least one pixel
        ("animated", np.bool_),
        ("deep", np.bool_),  # 16 bits per value
        ("constant", np.bool_),  # one colour, or nearly
        ("mean", np.float64, 4),  # red, green, blue, grey; after preprocessing, 0 to 255
        ("square", np.float64, 4),  # mean of the squared values
        ("digest", np.uint64, 2),  # of the decoded pixels, flattened to 8 bits
        ("hash", np.uint8, 16),
        ("thumb", np.uint8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    ]
)


class ImageStats(NamedTuple):
    """Statistics of one image; the fields are those of STATS_DTYPE."""

    width: int
    height: int
    mode: str
    format: str
    grey: bool
    transparent: bool
    animated: bool
    deep: bool
    constant: bool
    mean: ndarray
    square: ndarray
    digest: ndarray
    hash: ndarray
    thumb: ndarray


def measure_image(settings: DataSettings, handle: ImageHandle) -> ImageStats | str:
    """Decode an image and return its statistics, or the reason why it cannot be decoded."""
    try:
        decoded = handle.open()
        image = reduce_to_8_bits(decoded)
        flat = flatten_image(image, settings.background)
    except UnreadableImageError as error:
        return str(error)
    return _compute_stats(decoded, flat, settings, transparent=has_transparency(image))


def _compute_stats(
    decoded: DecodedImage, flat: Image.Image, settings: DataSettings, *, transparent: bool
) -> ImageStats:
    grey = is_grey(flat)
    mean, square = _moments(flat, settings, grey=grey)
    level = flat.convert("L")
    return ImageStats(
        width=decoded.width,
        height=decoded.height,
        mode=decoded.mode,
        format=decoded.format,
        grey=grey,
        transparent=transparent,
        animated=decoded.animated,
        deep=isinstance(decoded.image, ndarray) and decoded.image.dtype == np.uint16,
        constant=_is_constant(flat),
        mean=mean,
        square=square,
        digest=_digest(flat),
        hash=dhash(level),
        thumb=np.asarray(level.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)),
    )


def _is_constant(flat: Image.Image) -> bool:
    extremes = np.reshape(flat.getextrema(), (-1, 2))
    return bool((extremes[:, 1] - extremes[:, 0] <= MAX_CONSTANT_RANGE).all())


def _digest(flat: Image.Image) -> ndarray:
    """Digest size and RGB pixels, so that grey stored as grey or as colour has the same digest."""
    digest = hashlib.blake2b(b"%d %d " % flat.size, digest_size=16)
    digest.update(flat.convert("RGB").tobytes())
    return np.frombuffer(digest.digest(), np.uint64)


def _moments(flat: Image.Image, settings: DataSettings, *, grey: bool) -> tuple[ndarray, ndarray]:
    """Return the mean and the mean square of each channel after preprocessing.

    The grey channel is computed only if training may use it.
    """
    mean, square = np.zeros(4), np.zeros(4)
    for planes in PLANES if grey or settings.channels == 1 else PLANES[1:]:
        spec = PixelSpec.from_settings(settings, 3 if len(planes) == 3 else 1)
        pixels = spec.to_pixels(flat).astype(np.float64)
        mean[planes] = pixels.mean(axis=(0, 1))
        square[planes] = (pixels**2).mean(axis=(0, 1))
    return mean, square
