"""DICOM: the first frame of a medical image, in the units that its header describes.

The values are those of the modality, such as Hounsfield units of a CT. No window of the header is
applied: windows differ from image to image, and data.value_range chooses one for the dataset.
"""

from typing import IO, Any

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.formats.arrays import build_decoded
from iddm_cli.data.decoding.formats.left_out import DICOM_COMPRESSION, FORMATS_WITH_EXTRAS
from iddm_cli.data.decoding.formats.packages import import_package
from iddm_cli.data.decoding.formats.table import ImageFormat
from iddm_cli.data.decoding.images import DecodedImage, UnreadableImageError, check_size

DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of files that are compressed as a whole (PS3.5, A.5), so that the size of the
image is known only after all of a possible bomb is decompressed."""

META_BYTES = 4096
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read(handle: IO[bytes], min_side: int, row: ImageFormat) -> DecodedImage:  # noqa: ARG001
    """Decode the first frame.

    Raises:
        UnreadableImageError: pydicom is not installed; there is no image in the file; or it is
            damaged, too large, or compressed in a way that no installed package decodes.
    """
    if DEFLATED in handle.read(META_BYTES):
        raise UnreadableImageError("a deflated DICOM file, which is not supported: inflate it")
    dicom = import_package("pydicom", FORMATS_WITH_EXTRAS[row.name])
    handle.seek(0)
    # force: files without the preamble are DICOM as well, by the signature in the table
    _check_header(dicom.dcmread(handle, stop_before_pixels=True, force=True))
    handle.seek(0)
    dataset = dicom.dcmread(handle, force=True)
    if not any(name in dataset for name in PIXELS):
        raise UnreadableImageError("a DICOM file without an image")
    values = _to_colours(_decode_frame(dataset), dataset)
    array, white = _apply_modality(values, dataset)
    frames = int(dataset.get("NumberOfFrames") or 1)
    return build_decoded(array, format="DICOM", animated=frames > 1, white=white)


def _check_header(dataset: Any) -> None:
    """Check that there is an image, and its size."""
    if "Rows" not in dataset or "Columns" not in dataset:
        raise UnreadableImageError("a DICOM file without an image")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    value_bytes = max(1, int(dataset.get("BitsAllocated") or 64) // 8)
    check_size(int(dataset.Columns), int(dataset.Rows), samples * value_bytes)


def _decode_frame(dataset: Any) -> ndarray:
    """Return the stored values of the first frame, [H, W, C]; colours as RGB."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    from iddm_cli.data.decoding.formats.dicom_codecs import register_codecs

    register_codecs()
    _complete_meta(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableImageError(
            f"a DICOM compression that is not supported: {syntax.name}"
        ) from error
    if not decoder.is_available:
        raise UnreadableImageError(DICOM_COMPRESSION.reason)
    try:
        array = pixel_array(dataset, index=0)
    except RuntimeError as error:
        needed = "pillow: Pillow" in str(error)  # Pillow says what it cannot decode
        reason = DICOM_COMPRESSION.reason if needed else "damaged: its pixels cannot be decoded"
        raise UnreadableImageError(reason) from error
    return array[..., None] if array.ndim == 2 else array


def _complete_meta(dataset: Any) -> None:
    """Add the transfer syntax to a file that lacks it, by how pydicom has understood its tags."""
    from pydicom import uid
    from pydicom.dataset import FileMetaDataset

    if "TransferSyntaxUID" in getattr(dataset, "file_meta", ()):
        return
    implicit, little = dataset.original_encoding
    explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    dataset.file_meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit


def _stored_range(dataset: Any) -> tuple[int, int]:
    """Return the smallest and the largest value that the header allows."""
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if int(dataset.get("PixelRepresentation") or 0):
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def _to_colours(array: ndarray, dataset: Any) -> ndarray:
    """Look up the colours of a palette, and invert grey whose smallest value is white."""
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    if photometric == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        return apply_color_lut(array[..., 0], dataset)
    if photometric == "MONOCHROME1" and array.dtype.kind in "iu":
        low, high = _stored_range(dataset)
        return (low + high - np.clip(array.astype(np.int64), low, high)).astype(array.dtype)
    return array


def _apply_modality(array: ndarray, dataset: Any) -> tuple[ndarray, int | None]:
    """Convert grey to the units of the modality (PS3.3, C.11.1).

    Returns:
        The values: as stored if nothing is to be done; integers if slope and intercept are; else
        floating-point numbers. And the largest possible value, if they are as stored.
    """
    is_palette = str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR"
    if is_palette or array.dtype.kind not in "iu":
        return array, None
    if array.shape[2] == 1 and dataset.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        return apply_modality_lut(array, dataset), None
    slope, intercept = (
        float(value) if (value := dataset.get(name)) not in (None, "") else default
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    low, high = _stored_range(dataset)
    if array.shape[2] != 1 or (slope, intercept) == (1, 0):
        return array, high if array.dtype in (np.uint8, np.uint16) else None
    if slope.is_integer() and intercept.is_integer():
        ends = low * int(slope) + int(intercept), high * int(slope) + int(intercept)
        values = np.clip(array.astype(np.int64), low, high) * int(slope) + int(intercept)
        fits = min(ends) >= -(2**15) and max(ends) < 2**15
        return values.astype(np.int16) if fits else values, None
    return (array * slope + intercept).astype(np.float32), None
