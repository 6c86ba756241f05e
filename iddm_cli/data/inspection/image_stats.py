"""Statistics of one image: decoded once and reduced to a few hundred bytes.

Worker processes compute them, since decoding may crash. Pixels never leave the worker, except for
the 16 x 16 thumbnail by which images are compared.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.bands import (
    count_bands,
    find_missing,
    has_ordinary_8_bits,
    to_view,
)
from iddm_cli.data.decoding.images import DecodedImage, ImageHandle, UnreadableImageError
from iddm_cli.data.decoding.preprocess import PixelSpec, find_labels
from iddm_cli.data.decoding.resize import (
    flatten_image,
    has_transparency,
    is_grey,
    reduce_to_8_bits,
)
from iddm_cli.data.inspection.duplicates import THUMBNAIL_SIDE, dhash
from iddm_cli.profiles.settings import DataSettings
from iddm_cli.value_range import MAX_CHANNELS

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
        ("bands", np.int32),  # without opacity
        ("ordinary", np.bool_),  # 8 bits per value, grey or colour
        ("labels", np.bool_),  # only a few low values, as in images of labels
        ("grey", np.bool_),  # without any colour, however it is stored
        ("transparent", np.bool_),  # at least one pixel
        ("animated", np.bool_),
        ("deep", np.bool_),  # 16 bits per value
        ("constant", np.bool_),  # one colour, or nearly
        ("single", np.bool_),  # exactly one colour
        ("irreducible", "U64"),  # why it cannot be reduced to 8 bits; "" if it can
        ("mean", np.float64, 4),  # red, green, blue, grey; after preprocessing, 0 to 255
        ("square", np.float64, 4),  # mean of the squared values
        ("band_mean", np.float64, MAX_CHANNELS),  # of each band of other images, in its own units
        ("band_square", np.float64, MAX_CHANNELS),
        ("digest", np.uint64, 2),  # of the decoded pixels
        ("content", np.uint64, 2),  # of what it was decoded from, or else of the pixels
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
    bands: int
    ordinary: bool
    labels: bool
    grey: bool
    transparent: bool
    animated: bool
    deep: bool
    constant: bool
    single: bool
    irreducible: str
    mean: ndarray
    square: ndarray
    band_mean: ndarray
    band_square: ndarray
    digest: ndarray
    content: ndarray
    hash: ndarray
    thumb: ndarray


def measure_image(settings: DataSettings, handle: ImageHandle) -> ImageStats | str:
    """Decode an image and return its statistics, or the reason why it cannot be decoded."""
    try:
        decoded = handle.open()
        if has_ordinary_8_bits(decoded):
            image = reduce_to_8_bits(decoded)
            flat = flatten_image(image, settings.background)
            return _compute_stats(decoded, image, flat, settings)
        view = to_view(decoded, None, settings.background)
        return _compute_deep_stats(decoded, view, settings)
    except UnreadableImageError as error:
        return str(error)


def _compute_stats(
    decoded: DecodedImage, image: Image.Image, flat: Image.Image, settings: DataSettings
) -> ImageStats:
    grey = is_grey(flat)
    mean, square = _moments(flat, settings, grey=grey)
    digest = _digest(flat.size, flat.convert("RGB").tobytes())
    band_mean, band_square = _band_moments(np.atleast_3d(np.asarray(flat, np.float64)))
    spread = _find_spread(flat)
    return ImageStats(
        width=decoded.width,
        height=decoded.height,
        mode=decoded.mode,
        format=decoded.format,
        bands=count_bands(decoded),
        ordinary=True,
        labels=bool(find_labels(flat)),
        grey=grey,
        transparent=has_transparency(image),
        animated=decoded.animated,
        deep=False,
        constant=spread <= MAX_CONSTANT_RANGE,
        single=spread == 0,
        irreducible="",
        mean=mean,
        square=square,
        band_mean=band_mean,
        band_square=band_square,
        digest=digest,
        content=_read_content(decoded, digest),
        **_compare_by(flat),
    )


def _compute_deep_stats(
    decoded: DecodedImage, view: Image.Image, settings: DataSettings
) -> ImageStats:
    """Return the statistics of an image of more than 8 bits or of several bands.

    Its range is not known yet, so that it is compared with others by its own lowest and highest
    values.
    """
    array = decoded.image
    assert isinstance(array, ndarray), "others are ordinary"
    bands = count_bands(decoded)
    grey = bands == 1 or (bands == 3 and is_grey(view))
    values = np.where(find_missing(array, decoded.missing), np.nan, array.astype(np.float64))[
        ..., :bands
    ]
    mean, square, irreducible = _reduced_moments(decoded, settings, grey=grey)
    band_mean, band_square = _band_moments(values)
    single = bool(np.all(array == array[:1, :1]))
    digest = _digest(array.shape, array.dtype.str.encode() + array.tobytes())
    return ImageStats(
        width=decoded.width,
        height=decoded.height,
        mode=decoded.mode,
        format=decoded.format,
        bands=bands,
        ordinary=False,
        labels=False,
        grey=grey,
        transparent=decoded.alpha and bool((array[..., -1] != (decoded.white or 1)).any()),
        animated=decoded.animated,
        deep=array.dtype.itemsize == 2,
        constant=single,
        single=single,
        irreducible=irreducible,
        mean=mean,
        square=square,
        band_mean=band_mean,
        band_square=band_square,
        digest=digest,
        content=_read_content(decoded, digest),
        **_compare_by(view),
    )


def _compare_by(flat: Image.Image) -> dict[str, ndarray]:
    """Return what near duplicates are found by."""
    level = flat.convert("L")
    small = level.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR)
    return {"hash": dhash(level), "thumb": np.asarray(small)}


def _find_spread(flat: Image.Image) -> int:
    """Return the largest difference between two values of a channel."""
    extremes = np.reshape(flat.getextrema(), (-1, 2))
    return int((extremes[:, 1] - extremes[:, 0]).max())


def _digest(size: tuple[int, ...], pixels: bytes) -> ndarray:
    """Digest size and pixels; of RGB, so that grey stored as grey or as colour is the same."""
    digest = hashlib.blake2b(b"%d %d " % size[:2], digest_size=16)
    digest.update(pixels)
    return np.frombuffer(digest.digest(), np.uint64)


def _read_content(decoded: DecodedImage, digest: ndarray) -> ndarray:
    """Return the digest of what an image was decoded from, or else of its pixels."""
    return np.frombuffer(bytes.fromhex(decoded.content), np.uint64) if decoded.content else digest


def _reduced_moments(
    decoded: DecodedImage, settings: DataSettings, *, grey: bool
) -> tuple[ndarray, ndarray, str]:
    """Return the moments of an image reduced to 8 bits, or the reason why it cannot be."""
    try:
        flat = flatten_image(reduce_to_8_bits(decoded), settings.background)
    except UnreadableImageError as error:
        return np.zeros(4), np.zeros(4), str(error)
    return *_moments(flat, settings, grey=grey), ""


def _band_moments(values: ndarray) -> tuple[ndarray, ndarray]:
    """Return the mean and the mean square of each band, [MAX_CHANNELS], without missing values."""
    mean, square = np.zeros(MAX_CHANNELS), np.zeros(MAX_CHANNELS)
    for band in range(min(values.shape[2], MAX_CHANNELS)):
        valid = values[..., band][~np.isnan(values[..., band])]
        if valid.size:
            mean[band], square[band] = valid.mean(), (valid**2).mean()
    return mean, square


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
