"""NumPy arrays: one image in each .npy file, [H, W], [H, W, C] or [C, H, W]; never a pickle."""

from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from iddm_cli.data.decoding.formats.arrays import build_decoded, find_channel_axis
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size

_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:  # noqa: ARG001
    """Read the array of one image.

    Raises:
        UnreadableImageError: It is damaged, too large, or not the array of one image.
    """
    read_header = _HEADER_READERS.get(npy_format.read_magic(handle))
    if read_header is None:
        raise UnreadableImageError("a NumPy array of a newer version of the format")
    shape, fortran_order, dtype = read_header(handle)
    if dtype.hasobject:
        raise UnreadableImageError("a NumPy array of Python objects, which could run a program")
    if dtype.kind not in "buif":
        raise UnreadableImageError(f"a NumPy array of type {dtype}, which cannot be grey levels")
    axis = find_channel_axis(shape)
    channels = 1 if axis is None else shape[axis]
    height, width = shape[:2] if axis != 0 else shape[1:]
    check_size(width, height, channels * dtype.itemsize)
    size = width * height * channels * dtype.itemsize
    content = handle.read(size)
    if len(content) < size:
        raise UnreadableImageError("damaged: the file ends before its last value")
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")
    values = values[..., None] if axis is None else np.moveaxis(values, axis, -1)
    return build_decoded(values, format="NPY")
