"""Sampling the values of one image, in a worker process."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.bands import count_bands, find_missing
from iddm_cli.data.decoding.images import DecodedImage, ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.preprocess import find_labels
from iddm_cli.data.decoding.resize import GREY_TOLERANCE, flatten_image, is_grey
from iddm_cli.profiles.settings import BackgroundName

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, modulo 1, are spread evenly and follow no row or column of an image."""

EIGHT_BITS_IN_16 = 257


@dataclass(frozen=True)
class ImageValues:
    """What the values of one image are.

    Attributes:
        dtype: NumPy's name of their type.
        bands: Number of bands without opacity.
        white: The largest value that the header allows; 0 if unknown.
        photograph: Whether it is an image of 8 bits, in grey or colour.
        alpha: Whether it has opacity as well.
        grey: Whether it has no colour.
        samples: Values of some pixels, float64 [K, bands]; missing ones are NaN.
        low: Lowest value of each band, over all pixels.
        high: Highest value of each band, over all pixels.
        missing: Share of the values that are missing.
        labels: All values, if they are few, low and grey.
        multiples: Whether all values are multiples of 257, as those of 8 bits stored in 16.
    """

    dtype: str
    bands: int
    white: int
    photograph: bool
    alpha: bool
    grey: bool
    samples: ndarray
    low: ndarray
    high: ndarray
    missing: float
    labels: tuple[int, ...]
    multiples: bool


def sample_image(pixels: int, background: BackgroundName, handle: ImageHandle) -> ImageValues | str:
    """Decode an image and return what its values are, or the reason why it cannot be decoded.

    Args:
        pixels: How many pixels to sample.
        background: Colour behind transparent pixels of ordinary images.
        handle: The image.
    """
    try:
        decoded = handle.open()
        if isinstance(decoded.image, Image.Image):
            return _sample_ordinary(flatten_image(decoded.image, background), decoded, pixels)
    except UnreadableImageError as error:
        return str(error)
    return _sample_array(decoded, pixels)


def _sample_ordinary(flat: Image.Image, decoded: DecodedImage, pixels: int) -> ImageValues:
    array = np.atleast_3d(np.asarray(flat))
    assert isinstance(decoded.image, Image.Image), "see sample_image"
    return _describe(
        array,
        pixels,
        white=255,
        photograph=True,
        alpha=decoded.image.has_transparency_data,
        grey=is_grey(flat),
        labels=find_labels(flat),
    )


def _sample_array(decoded: DecodedImage, pixels: int) -> ImageValues:
    assert isinstance(decoded.image, ndarray), "see sample_image"
    array = decoded.image[..., : count_bands(decoded)]
    labels: tuple[int, ...] = ()
    if array.dtype == np.uint8 and array.shape[2] == 1:
        labels = find_labels(Image.fromarray(array[..., 0]))
    return _describe(
        array,
        pixels,
        white=decoded.white or 0,
        photograph=array.dtype == np.uint8 and array.shape[2] in (1, 3),
        alpha=decoded.alpha,
        grey=_is_grey_array(array),
        labels=labels,
        marker=decoded.missing,
    )


def _is_grey_array(array: ndarray) -> bool:
    if array.shape[2] != 3:
        return array.shape[2] == 1
    with np.errstate(all="ignore"):
        values = np.nan_to_num(array.astype(np.float64))
    tolerance = GREY_TOLERANCE / 255 * float(np.ptp(values))
    return float(np.ptp(values, axis=2).max()) <= tolerance


def _describe(
    array: ndarray,
    pixels: int,
    *,
    white: int,
    photograph: bool,
    alpha: bool,
    grey: bool,
    labels: tuple[int, ...],
    marker: float | None = None,
) -> ImageValues:
    rows = array.reshape(-1, array.shape[2])
    missing = find_missing(rows, marker)
    valid = np.ma.array(rows, mask=missing)
    chosen = choose_pixels(len(rows), pixels)
    samples = rows[chosen].astype(np.float64)
    samples[missing[chosen]] = np.nan
    in_16 = array.dtype == np.uint16 and not (rows % EIGHT_BITS_IN_16).any()
    return ImageValues(
        dtype=array.dtype.name,
        bands=array.shape[2],
        white=white,
        photograph=photograph,
        alpha=alpha,
        grey=grey,
        samples=samples,
        low=np.ma.filled(valid.min(axis=0).astype(np.float64), np.nan),
        high=np.ma.filled(valid.max(axis=0).astype(np.float64), np.nan),
        missing=float(missing.mean()),
        labels=labels,
        multiples=bool(in_16),
    )


def choose_pixels(count: int, wanted: int) -> ndarray:
    """Return the indices of up to `wanted` of `count` pixels, spread evenly over the image."""
    if count <= wanted:
        return np.arange(count)
    return (np.arange(1, wanted + 1) * GOLDEN % 1 * count).astype(np.int64)
