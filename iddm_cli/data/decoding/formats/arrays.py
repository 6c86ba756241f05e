"""Arrays of pixel values, as the readers of this folder deliver them."""

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError
from iddm_cli.value_range import MAX_CHANNELS

_WIDER = {"i1": np.int16, "f2": np.float32}


def build_decoded(
    values: ndarray,
    *,
    format: str,
    animated: bool = False,
    alpha: bool = False,
    white: int | None = None,
) -> DecodedImage:
    """Return a decoded image: of Pillow for 8 bits of grey or colour, else an array.

    Args:
        values: Numbers of any type [H, W, C].
        format: Name of the file's format.
        animated: Whether the file contains further frames or pages.
        alpha: Whether the last channel is opacity.
        white: The largest value by the file's header; None if it does not say.

    Raises:
        UnreadableImageError: The values are not real numbers.
    """
    values = _normalize_type(values)
    height, width, channels = values.shape
    if (
        values.dtype == np.uint8
        and white in (None, 255)
        and channels in ((2, 4) if alpha else (1, 3))
    ):
        image = Image.fromarray(values[..., 0] if channels == 1 else values)
        return DecodedImage(image, width, height, animated, format=format)
    if white is None and values.dtype in (np.uint8, np.uint16):
        white = int(np.iinfo(values.dtype).max)
    return DecodedImage(values, width, height, animated, format=format, alpha=alpha, white=white)


def _normalize_type(values: ndarray) -> ndarray:
    """Return the values in native byte order, as one of the types that DecodedImage allows."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b":
        return values.astype(np.uint8) * 255
    if kind not in "uif":
        raise UnreadableImageError(f"values of type {values.dtype}, which cannot be grey levels")
    if kind in "ui" and size > 4:
        return _narrow(values)
    if kind == "f" and size > 8:
        return values.astype(np.float64)
    wider = _WIDER.get(f"{kind}{size}", values.dtype.newbyteorder("="))
    return np.ascontiguousarray(values, wider)


def _narrow(values: ndarray) -> ndarray:
    """Return 64-bit integers as 32-bit ones if all of them fit, else as floating-point numbers."""
    low, high = int(values.min()), int(values.max())
    for narrow in (np.int32, np.uint32):
        if np.iinfo(narrow).min <= low and high <= np.iinfo(narrow).max:
            return np.ascontiguousarray(values, narrow)
    return np.ascontiguousarray(values, np.float64)


def find_channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return which dimension of one image's array holds the channels: the first, the last or none.

    Of three dimensions the last are the channels if they are at most MAX_CHANNELS, else the first.
    If both could be, the image is taken to be square; if that decides nothing, the last.

    Raises:
        UnreadableImageError: It is not the array of one image.
    """
    if len(shape) == 2 and min(shape):
        return None
    if len(shape) != 3 or not min(shape):
        raise UnreadableImageError(_explain_shape(shape))
    first, middle, last = shape
    if last <= MAX_CHANNELS and not (first <= MAX_CHANNELS and middle == last != first):
        return 2
    if first <= MAX_CHANNELS:
        return 0
    raise UnreadableImageError(_explain_shape(shape))


def to_channels_last(values: ndarray) -> ndarray:
    """Return the array of one image as [H, W, C]; see `find_channel_axis`."""
    axis = find_channel_axis(values.shape)
    return values[..., None] if axis is None else np.moveaxis(values, axis, -1)


def _explain_shape(shape: tuple[int, ...]) -> str:
    words = "x".join(map(str, shape)) or "a single number"
    if len(shape) < 2 or not min(shape):
        return f"not the array of an image: {words}"
    return f"an array of several images, {words}; save each as a file of its own with numpy.save"
