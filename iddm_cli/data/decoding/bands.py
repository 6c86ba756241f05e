"""Images of many bands or of more than 8 bits: their bands, their missing values, their levels.

A unit is a value on the way from the low (0) to the high end (1) of the dataset's range.
"""

from dataclasses import replace

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError
from iddm_cli.data.decoding.resize import (
    GREY_TOLERANCE,
    TONES,
    change_shape,
    flatten_image,
)
from iddm_cli.profiles.settings import AspectName, BackgroundName
from iddm_cli.value_range import EIGHT_BIT, ValueRange

NO_DATA = (-9999.0, -99999.0, -32768.0)
"""Values by which measurements in signed and floating-point files mark missing pixels."""

HUGE = 1e30
"""Floating-point numbers beyond this mark missing pixels as well: -3.4e38, 1e36."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in grey (ITU-R 601), as Pillow uses them."""

ALPHA_MODES = {2: "LA", 4: "RGBA"}
"""Pillow's modes for numbers of channels that include opacity."""


def count_bands(decoded: DecodedImage) -> int:
    """Return the number of bands without opacity: 1 for grey, 3 for colour."""
    image = decoded.image
    if isinstance(image, ndarray):
        return image.shape[2] - decoded.alpha
    return 1 if image.mode in ("1", "L", "LA", "La") else 3


def find_missing(values: ndarray, marker: float | None = None) -> ndarray:
    """Return where a pixel holds no measurement, bool of the same shape.

    Args:
        values: The values, of any type.
        marker: The value by which the file marks such pixels; None if it does not say.
    """
    found = _find_unmarked(values)
    return found if marker is None else found | (values == marker)


def _find_unmarked(values: ndarray) -> ndarray:
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            return ~(np.abs(values) < HUGE) | np.isin(values, NO_DATA)
    if values.dtype.kind == "i":
        return np.isin(values, NO_DATA)
    return np.zeros(values.shape, np.bool_)


def has_ordinary_8_bits(decoded: DecodedImage) -> bool:
    """Return whether an image is an ordinary one: grey or colour, 8 bits, possibly with opacity."""
    image = decoded.image
    if isinstance(image, Image.Image):
        return True
    return image.dtype == np.uint8 and count_bands(decoded) in (1, 3)


def drop_bands(decoded: DecodedImage, channels: int) -> DecodedImage:
    """Return an image without the bands of an array that training does not use."""
    image = decoded.image
    if not isinstance(image, ndarray) or decoded.alpha or not _are_first_used(image, channels):
        return decoded
    return replace(decoded, image=image[..., :channels])


def _are_first_used(image: ndarray, channels: int) -> bool:
    """Return whether only the first bands are used; three bands become grey by their luma."""
    bands = image.shape[2]
    return bands > channels and not (channels == 1 and bands == 3)


def to_levels(
    decoded: DecodedImage,
    values: ValueRange,
    *,
    size: tuple[int, int],
    channels: int,
    aspect: AspectName,
    background: BackgroundName,
) -> ndarray:
    """Return an image as levels of a range, uint8 or uint16 [height, width, channels].

    Args:
        decoded: The image.
        values: The dataset's range.
        size: Height and width, in pixels.
        channels: Channels trained.
        aspect: What happens to another aspect ratio: crop, pad or squash.
        background: Colour behind transparent pixels and of padding.

    Raises:
        UnreadableImageError: It has other bands than are trained.
    """
    tone = TONES[background] / 255
    if isinstance(decoded.image, Image.Image):
        unit = _image_to_unit(decoded.image, values, channels, background)
    else:
        unit = _array_to_unit(decoded, values, channels, tone)
    if unit.shape[:2] != size:
        unit = _resize_bands(unit, size, aspect, tone, blend=not values.is_labels)
    return np.rint(unit * values.levels).astype(values.level_dtype)


def to_view(
    decoded: DecodedImage, values: ValueRange | None, background: BackgroundName
) -> Image.Image:
    """Return an image to look at: mode L or RGB, 8 bits; of many bands, the first three.

    Args:
        decoded: The image.
        values: The range that becomes black to white; None or one for other bands: the image's own.
        background: Colour behind transparent pixels.
    """
    image = decoded.image
    if isinstance(image, Image.Image):
        return flatten_image(image, background)
    bands = image.shape[2] - decoded.alpha
    shown = 3 if bands >= 3 else 1
    array = image[..., :shown]
    missing = find_missing(array, decoded.missing)
    if values is None or values.is_8_bit or len(values.low) not in (1, bands):
        values = _own_range(array, missing)
    else:
        values = replace(values, low=values.low[:shown], high=values.high[:shown])
    unit = values.to_unit(np.where(missing, values.low[0], array))
    pixels = np.rint(unit * 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if shown == 1 else pixels)


def _own_range(array: ndarray, missing: ndarray) -> ValueRange:
    if array.dtype == np.uint8:
        return EIGHT_BIT
    valid = array[~missing]
    low, high = (float(valid.min()), float(valid.max())) if valid.size else (0.0, 0.0)
    return ValueRange(array.dtype.name, (low,), (high if high > low else low + 1,))


def is_grey_level(levels: ndarray, values: ValueRange) -> bool:
    """Return whether all colours of levels, [H, W, C], are grey within GREY_TOLERANCE."""
    if levels.shape[2] != 3:
        return levels.shape[2] == 1
    wide = levels.astype(np.int32)
    spread = wide.max(axis=2) - wide.min(axis=2)
    return bool(spread.max() <= GREY_TOLERANCE * values.levels // 255)


def _image_to_unit(
    image: Image.Image, values: ValueRange, channels: int, background: BackgroundName
) -> ndarray:
    if channels in ALPHA_MODES:
        pixels = np.asarray(image.convert(ALPHA_MODES[channels]))
    else:
        flat = flatten_image(image, background)
        pixels = np.atleast_3d(np.asarray(flat))
    return _fit_channels(values.to_unit(pixels), channels)


def _array_to_unit(
    decoded: DecodedImage, values: ValueRange, channels: int, tone: float
) -> ndarray:
    array = drop_bands(decoded, channels).image
    assert isinstance(array, ndarray), "an image of Pillow is handled apart"
    opacity = None
    if decoded.alpha:
        array, opacity = array[..., :-1], array[..., -1:] / (decoded.white or 1)
    if array.shape[2] != channels and len(values.low) > 1:
        raise UnreadableImageError(describe_other_bands(array.shape[2], channels))
    missing = find_missing(array, decoded.missing)
    unit = values.to_unit(np.where(missing, 0, array))
    unit[missing] = 0
    if opacity is not None:
        unit = unit * opacity + tone * (1 - opacity)
    return _fit_channels(unit, channels)


def _fit_channels(unit: ndarray, channels: int) -> ndarray:
    bands = unit.shape[2]
    if bands == channels:
        return unit
    if (bands, channels) == (1, 3):
        return np.repeat(unit, 3, axis=2)
    if (bands, channels) == (3, 1):
        return (unit @ LUMA)[..., None]
    raise UnreadableImageError(describe_other_bands(bands, channels))


def describe_other_bands(bands: int, channels: int) -> str:
    """Return why an image of other bands than are trained is skipped."""
    return f"{bands} band{'' if bands == 1 else 's'}, where training uses {channels}"


def _resize_bands(
    unit: ndarray, size: tuple[int, int], aspect: AspectName, tone: float, *, blend: bool
) -> ndarray:
    bands = np.moveaxis(unit.astype(np.float32), 2, 0)
    resized = [
        change_shape(Image.fromarray(np.ascontiguousarray(band)), size, aspect, tone, blend=blend)
        for band in bands
    ]
    return np.clip(np.stack([np.asarray(band) for band in resized], axis=2), 0, 1)
