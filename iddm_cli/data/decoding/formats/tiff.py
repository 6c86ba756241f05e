"""TIFF: photos with Pillow; other channels, numbers and compressions with tifffile.

Pillow drops channels that a file does not describe, and reads colours of 16 bits that are stored in
separate planes as noise. Such files, and those that it does not open, go to tifffile.
"""

import json
from dataclasses import replace
from typing import IO, Any

import numpy as np
from numpy import ndarray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from iddm_cli.data.decoding.formats import pillow
from iddm_cli.data.decoding.formats.arrays import build_decoded
from iddm_cli.data.decoding.formats.deep import (
    BITS_PER_SAMPLE,
    PHOTOMETRIC,
    WHITE_IS_ZERO,
    Values,
    divide_by_alpha,
    find_white,
)
from iddm_cli.data.decoding.formats.left_out import TIFF_BANDS
from iddm_cli.data.decoding.formats.packages import import_package
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size
from iddm_cli.value_range import MAX_CHANNELS

# Tags of TIFF 6.0, section 8 and appendix A.
WIDTH, LENGTH, DESCRIPTION, SAMPLES_PER_PIXEL = 256, 257, 270, 277
PLANAR_CONFIGURATION, SEPARATE = 284, 2
EXTRA_SAMPLES, UNSPECIFIED, PREMULTIPLIED, ALPHA = 338, 0, 1, 2
SAMPLE_FORMAT, UNSIGNED, SIGNED, COMPLEX = 339, 1, 2, (5, 6)
GDAL_NODATA = 42113  # https://gdal.org/drivers/raster/gtiff.html
GREY, RGB, YCBCR = (0, 1), 2, 6  # values of PHOTOMETRIC

Tags = Any
"""Pillow's directory of tags: a mapping from tag numbers to values."""


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:
    """Decode the first page of a TIFF.

    Raises:
        UnreadableImageError: It is damaged or too large, or needs a package that is not installed.
    """
    try:
        image = Image.open(handle, formats=row.plugins)
    except UnidentifiedImageError:
        return _read_bands(handle)
    tags = getattr(image, "tag_v2", {})
    if _is_one_array(tags) or not _is_whole(tags):
        return _read_bands(handle)
    decoded = pillow.finish(image, handle, min_side)
    return _mark_missing(_correct(decoded, tags), tags)


def _is_whole(tags: Tags) -> bool:
    """Return whether Pillow reads all channels of an image, and reads them right."""
    extra = tags.get(EXTRA_SAMPLES, ())
    deep_planes = tags.get(PLANAR_CONFIGURATION) == SEPARATE and max(_bits(tags)) > 8
    rgb_and_one = extra == (UNSPECIFIED,) and tags.get(PHOTOMETRIC) == RGB
    if deep_planes and tags.get(SAMPLES_PER_PIXEL, 1) > 1:
        return False
    if rgb_and_one and tags.get(PLANAR_CONFIGURATION) != SEPARATE:
        return True
    return UNSPECIFIED not in extra


def _is_one_array(tags: Tags) -> bool:
    """Return whether tifffile wrote one array [H, W, C] as H pages of W x C pixels."""
    shape = _described_shape(tags)
    return len(shape) == 3 and shape[2] <= MAX_CHANNELS < min(shape[:2]) and not _is_band(tags)


def _is_band(tags: Tags) -> bool:
    return bool(tags.get(SAMPLES_PER_PIXEL, 1) > 1)


def _described_shape(tags: Tags) -> tuple[int, ...]:
    """Return the shape that tifffile writes into the description; () without one."""
    description = tags.get(DESCRIPTION, "")
    if not isinstance(description, str) or not description.startswith('{"shape": ['):
        return ()
    try:
        shape = json.loads(description)["shape"]
    except (ValueError, LookupError, RecursionError):
        return ()
    return tuple(shape) if all(type(side) is int for side in shape) else ()


def _correct(decoded: DecodedImage, tags: Tags) -> DecodedImage:
    """Give an image that Pillow decoded the type that its values have in the file."""
    array, bits, signed = decoded.image, max(_bits(tags)), tags.get(SAMPLE_FORMAT) == (SIGNED,)
    animated, form = decoded.animated, decoded.format
    if isinstance(array, Image.Image):
        if tags.get(EXTRA_SAMPLES) == (UNSPECIFIED,) and array.mode == "RGB":
            shape = (array.height, array.width, 4)  # Pillow keeps the fourth as padding
            array = np.frombuffer(array.tobytes("raw", "RGBX"), np.uint8).reshape(shape)
        elif array.mode == "L" and bits == 8 and signed:
            array = np.array(array)[..., None].view(np.int8)
        else:
            return decoded
    elif array.dtype == np.int32 and bits == 16:
        array = array.astype(np.int16)
    elif array.dtype == np.int32 and bits == 32 and not signed:
        array = array.view(np.uint32)
    else:
        return decoded
    return build_decoded(array, format=form, animated=animated)


def _bits(tags: Tags) -> tuple[int, ...]:
    bits = tags.get(BITS_PER_SAMPLE, (1,))
    return bits if isinstance(bits, tuple) and bits else (1,)


def _read_bands(handle: IO[bytes]) -> DecodedImage:
    """Decode the first page with tifffile.

    Raises:
        UnreadableImageError: It is damaged or too large, or tifffile is not installed.
    """
    tags = _read_tags(handle)
    tifffile = import_package("tifffile", TIFF_BANDS)
    handle.seek(0)
    with tifffile.TiffFile(handle, name="image.tif") as file:
        page = file.pages[0]
        check_size(page.imagewidth, page.imagelength, page.samplesperpixel * page.dtype.itemsize)
        if page.imagedepth != 1:
            raise UnreadableImageError("a TIFF volume; save its slices as images")
        try:
            if _is_one_array(tags):
                return _mark_missing(_build_one_array(file), tags)
            values = _read_page(page, tags)
        except ValueError as error:
            if "imagecodecs" in str(error):
                raise UnreadableImageError(TIFF_BANDS.reason) from error
            raise
        return _mark_missing(values.build("TIFF", animated=len(file.pages) > 1), tags)


def _mark_missing(decoded: DecodedImage, tags: Tags) -> DecodedImage:
    """Return an image with the value that GDAL's tag gives to pixels without a measurement."""
    text = tags.get(GDAL_NODATA)
    if not isinstance(text, str) or isinstance(decoded.image, Image.Image):
        return decoded
    try:
        return replace(decoded, missing=float(text.strip("\0 ")))
    except ValueError:
        return decoded


def _read_tags(handle: IO[bytes]) -> Tags:
    """Return the tags of the first page, and check the size that they give."""
    handle.seek(0)
    header = handle.read(8)
    big = header[2:4] in (b"+\0", b"\0+")
    tags = TiffImagePlugin.ImageFileDirectory_v2(header + handle.read(8) if big else header)
    handle.seek(tags.next)
    tags.load(handle)
    width, length = tags.get(WIDTH), tags.get(LENGTH)
    if not isinstance(width, int) or not isinstance(length, int):
        raise UnreadableImageError("damaged: its header cannot be read")
    check_size(width, length, tags.get(SAMPLES_PER_PIXEL, 1) * max(1, max(_bits(tags)) // 8))
    return tags


def _read_page(page: Any, tags: Tags) -> Values:
    """Return the values of a page, as they are in the file."""
    photometric = int(page.photometric)
    if photometric not in (*GREY, RGB, YCBCR):
        raise UnreadableImageError("a TIFF of other colours than grey or RGB; convert it to RGB")
    array = page.asarray(maxworkers=1)
    if page.axes.startswith("S"):
        array = np.moveaxis(array, 0, -1)
    array = array.reshape(page.imagelength, page.imagewidth, -1)
    white = _find_white(array, tags)
    if photometric == WHITE_IS_ZERO and white:
        array = (white - array.astype(np.uint32)).astype(array.dtype)
    alpha = tuple(map(int, page.extrasamples)) in ((ALPHA,), (PREMULTIPLIED,))
    if alpha and int(page.extrasamples[0]) == PREMULTIPLIED and white:
        array = divide_by_alpha(array, white)
    return Values(array, white, alpha=alpha and white is not None)


def _find_white(array: ndarray, tags: Tags) -> int | None:
    """Return the largest possible value of unsigned integers of at most 16 bits."""
    return find_white(max(_bits(tags))) if array.dtype in (np.uint8, np.uint16) else None


def _build_one_array(file: Any) -> DecodedImage:
    """Return the array that all pages make up together."""
    series = file.series[0]
    height, width, channels = series.shape
    check_size(width, height, channels * series.dtype.itemsize)
    return build_decoded(series.asarray(maxworkers=1), format="TIFF")
