"""Compressed DICOM: decoded with imagecodecs where it is installed, else with a reason."""

import io
from importlib.util import find_spec

import numpy as np
import pytest

from iddm_cli.data.decoding.formats.left_out import DICOM_COMPRESSION
from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, dicom, noise

pydicom = pytest.importorskip("pydicom")

JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"


def compress(syntax: str, frame: bytes, array: np.ndarray) -> bytes:
    from pydicom.encaps import encapsulate

    dataset = pydicom.dcmread(io.BytesIO(dicom(array, BitsStored=12)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("syntax", "encoder"), [(JPEG_LOSSLESS, "ljpeg_encode"), (JPEG_LS, "jpegls_encode")]
)
def test_lossless_compressions_keep_every_value(syntax, encoder):
    imagecodecs = pytest.importorskip("imagecodecs")
    array = noise(16, 24) % 4096
    options = {"bitspersample": 12} if encoder == "ljpeg_encode" else {}
    frame = getattr(imagecodecs, encoder)(array, **options)
    assert (decode(compress(syntax, frame, array)).image[..., 0] == array).all()


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS])
def test_damaged_frames_end_in_a_reason(syntax):
    content = compress(syntax, b"\xff\xd8\xff\xc3" + bytes(60), noise(16, 24) % 4096)
    reason = "damaged: its pixels" if find_spec("imagecodecs") else "a DICOM image of a compression"
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content)


def test_without_imagecodecs_the_reason_names_the_extra():
    assert DICOM_COMPRESSION.reason.endswith("pip install 'iddm-cli[science]'")


def test_a_video_is_refused_by_its_name():
    content = compress("1.2.840.10008.1.2.4.102", bytes(64), noise(16, 24) % 4096)
    with pytest.raises(UnreadableImageError, match=r"not supported: MPEG-4"):
        decode(content)
