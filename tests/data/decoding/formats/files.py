"""Write files of the formats that Pillow does not write, and decode bytes, for the tests."""

import io

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.images import DecodedImage, decode_image


def decode(content: bytes) -> DecodedImage:
    return decode_image(io.BytesIO(content))


def values_of(content: bytes) -> ndarray:
    """The decoded values [H, W, C]."""
    array = np.asarray(decode(content).image)
    return array[..., None] if array.ndim == 2 else array


def noise(*shape: int, dtype: type = np.uint16) -> ndarray:
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def npy(array: ndarray, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def dicom(array: ndarray, *, preamble: bool = True, **elements: object) -> bytes:
    """A DICOM file that holds an array [H, W] or [H, W, 3], or of several frames [N, H, W]."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    colour = array.ndim == 3 and array.shape[2] == 3
    dataset.Rows, dataset.Columns = array.shape[:2] if colour else array.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    elif array.ndim == 3:
        dataset.NumberOfFrames = len(array)
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.BitsStored = elements.get("BitsStored", dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
    buffer = io.BytesIO()
    if preamble:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(buffer, enforce_file_format=True)
    else:
        dataset.save_as(buffer, implicit_vr=True, little_endian=True)
    return buffer.getvalue()


def tiff(array: ndarray, **options: object) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()
