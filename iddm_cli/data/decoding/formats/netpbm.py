"""PGM and PPM of 16 bits, and PFM: what Pillow reduces to 8 bits, scales, or does not read."""

import re
from typing import IO

import numpy as np

from iddm_cli.data.decoding.formats import pillow
from iddm_cli.data.decoding.formats.arrays import build_decoded
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size

CHANNELS = {b"P5": 1, b"P6": 3, b"Pf": 1, b"PF": 3}
HEADER_BYTES = 4096

# A magic number and three numbers, with comments between them; one white space ends the header.
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEADER = re.compile(
    rb"(P[56fF])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(-?[\d.eE+-]{1,30})\s"
)


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:
    """Decode an image; those of at most 8 bits with Pillow.

    Raises:
        UnreadableImageError: It is damaged or too large.
    """
    found = _HEADER.match(handle.read(HEADER_BYTES))
    handle.seek(0)
    if found is None or (found[1] in (b"P5", b"P6") and not 255 < float(found[4]) < 2**16):
        return pillow.read(handle, min_side, row)
    handle.seek(found.end())
    channels, width, height = CHANNELS[found[1]], int(found[2]), int(found[3])
    scale = float(found[4])
    is_float = found[1] in (b"Pf", b"PF")
    dtype = np.dtype(("<f4" if scale < 0 else ">f4") if is_float else ">u2")
    check_size(width, height, channels * dtype.itemsize)
    content = handle.read(width * height * channels * dtype.itemsize)
    if len(content) < width * height * channels * dtype.itemsize:
        raise UnreadableImageError("damaged: the file ends before its last row")
    values = np.frombuffer(content, dtype).reshape(height, width, channels)
    if is_float:
        return build_decoded(values[::-1], format="PFM")  # the last row comes first
    return build_decoded(values, format="PPM", white=int(scale))
