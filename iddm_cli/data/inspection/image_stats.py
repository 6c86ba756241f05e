"""A glance at one picture: decoded once, and reduced to the few hundred bytes worth keeping.

It is taken in another process, as decoding may crash; pixels never leave that process, but for
the thumbnail of 16 x 16 by which pictures are compared.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import DecodedImage, ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.preprocess import PixelSpec
from iddm_cli.data.decoding.resize import flatten_image, has_transparency, is_grey
from iddm_cli.data.inspection.duplicates import THUMB, dhash
from iddm_cli.profiles.settings import DataSettings

ONE_COLOUR = 8
"""Levels of 255 within which all pixels of a constant picture lie, lossy compression or not."""

RED, GREEN, BLUE, GREY = range(4)
PLANES = [GREY], [RED, GREEN, BLUE]

FACTS = np.dtype(
    [
        ("width", np.int32),  # upright, in pixels
        ("height", np.int32),
        ("mode", "U8"),  # as Pillow calls it
        ("format", "U8"),  # "" where it was drawn or is held in memory
        ("grey", np.bool_),  # without colour, however it is stored
        ("transparent", np.bool_),  # somewhere
        ("animated", np.bool_),
        ("deep", np.bool_),  # of 16 bits
        ("constant", np.bool_),  # of one colour, or nearly
        ("mean", np.float64, 4),  # of red, green, blue and grey, of the pixels as learnt, 0 to 255
        ("square", np.float64, 4),  # the mean of their squares
        ("digest", np.uint64, 2),  # of the pixels as decoded, flattened to 8 bits
        ("hash", np.uint8, 16),
        ("thumb", np.uint8, (THUMB, THUMB)),
    ]
)


class Glance(NamedTuple):
    """What is kept of one picture; the fields are those of FACTS."""

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


def glance(settings: DataSettings, picture: ImageHandle) -> Glance | str:
    """Decode a picture and look at it; a reason, not an error, where that fails."""
    try:
        decoded = picture.open()
        flat = flatten_image(decoded.image, settings.background)
    except UnreadableImageError as error:
        return str(error)
    return _look(decoded, flat, settings)


def _look(decoded: DecodedImage, flat: Image.Image, settings: DataSettings) -> Glance:
    image, grey = decoded.image, is_grey(flat)
    mean, square = _moments(flat, settings, grey=grey)
    level = flat.convert("L")
    return Glance(
        width=decoded.width,
        height=decoded.height,
        mode=image.mode,
        format=image.format or "",
        grey=grey,
        transparent=has_transparency(image),
        animated=decoded.animated,
        deep=image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"),
        constant=_is_constant(flat),
        mean=mean,
        square=square,
        digest=_digest(flat),
        hash=dhash(level),
        thumb=np.asarray(level.resize((THUMB, THUMB), Image.Resampling.BILINEAR)),
    )


def _is_constant(flat: Image.Image) -> bool:
    extremes = np.reshape(flat.getextrema(), (-1, 2))
    return bool((extremes[:, 1] - extremes[:, 0] <= ONE_COLOUR).all())


def _digest(flat: Image.Image) -> ndarray:
    """Digest size and pixels, as colour, so that grey stored as grey or as colour is the same."""
    digest = hashlib.blake2b(b"%d %d " % flat.size, digest_size=16)
    digest.update(flat.convert("RGB").tobytes())
    return np.frombuffer(digest.digest(), np.uint64)


def _moments(flat: Image.Image, settings: DataSettings, *, grey: bool) -> tuple[ndarray, ndarray]:
    """Return the mean, and the mean square, of each plane of the pixels as they are learnt.

    The grey plane is only worked out where it may be wanted.
    """
    mean, square = np.zeros(4), np.zeros(4)
    for planes in PLANES if grey or settings.channels == 1 else PLANES[1:]:
        look = PixelSpec.from_settings(settings, 3 if len(planes) == 3 else 1)
        pixels = look.to_pixels(flat).astype(np.float64)
        mean[planes] = pixels.mean(axis=(0, 1))
        square[planes] = (pixels**2).mean(axis=(0, 1))
    return mean, square
