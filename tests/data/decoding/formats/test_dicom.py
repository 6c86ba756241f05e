"""DICOM: values in the units of the header, against arrays that the test wrote."""

import sys

import numpy as np
import pytest

from iddm_cli.data.decoding.formats.left_out import FORMATS_WITH_EXTRAS
from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, dicom, noise, values_of

pytest.importorskip("pydicom")


def test_12_bits_are_delivered_as_they_are():
    array = noise(6, 5) % 4096
    decoded = decode(dicom(array, BitsStored=12))
    assert (decoded.image[..., 0] == array).all()
    assert (decoded.image.dtype, decoded.white, decoded.format) == (np.uint16, 4095, "DICOM")


def test_hounsfield_units():
    array = noise(6, 5) % 4096
    decoded = decode(dicom(array, BitsStored=12, RescaleSlope=1, RescaleIntercept=-1024))
    assert (decoded.image[..., 0] == array.astype(int) - 1024).all()
    assert (decoded.image.dtype, decoded.white) == (np.int16, None)


def test_a_large_range_needs_32_bits_and_a_fraction_floating_point():
    array = noise(6, 5)
    assert decode(dicom(array, RescaleSlope=2, RescaleIntercept=0)).image.dtype == np.int32
    decoded = decode(dicom(array, RescaleSlope="0.5", RescaleIntercept="1"))
    assert decoded.image.dtype == np.float32
    assert np.allclose(decoded.image[..., 0], array * 0.5 + 1)


def test_signed_values():
    array = noise(6, 5, dtype=np.int16)
    assert (values_of(dicom(array))[..., 0] == array).all()


def test_monochrome1_is_inverted():
    array = noise(6, 5) % 4096
    stored = dicom(array, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert (values_of(stored)[..., 0] == 4095 - array).all()
    signed = noise(6, 5, dtype=np.int16)
    inverted = values_of(dicom(signed, PhotometricInterpretation="MONOCHROME1"))
    assert (inverted[..., 0] == -1 - signed.astype(int)).all()


def test_grey_and_colour_of_8_bits_are_ordinary_images():
    grey, colour = noise(6, 5, dtype=np.uint8), noise(6, 5, 3, dtype=np.uint8)
    assert decode(dicom(grey)).mode == "L"
    decoded = decode(dicom(colour))
    assert decoded.mode == "RGB" and (np.asarray(decoded.image) == colour).all()
    white = np.tile(np.array([255, 128, 128], np.uint8), (6, 5, 1))
    seen = values_of(dicom(white, PhotometricInterpretation="YBR_FULL"))
    assert (seen == 255).all()


def test_of_several_frames_the_first_is_used():
    array = noise(4, 6, 5)
    decoded = decode(dicom(array))
    assert (decoded.image[..., 0] == array[0]).all() and decoded.animated


def test_a_file_without_preamble_and_meta_header():
    array = noise(6, 5)
    assert (values_of(dicom(array, preamble=False))[..., 0] == array).all()


def test_without_pydicom_the_reason_names_the_extra(monkeypatch):
    content = dicom(noise(6, 5))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UnreadableImageError) as caught:
        decode(content)
    assert str(caught.value) == FORMATS_WITH_EXTRAS["DICOM"].reason
    assert str(caught.value) == "a DICOM image: pip install 'iddm-cli[science]'"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "too large"),
        ({"Rows": 16000, "Columns": 4000, "SamplesPerPixel": 60}, "too large"),
        ({"Rows": 600, "Columns": 600}, "damaged"),
        ({"Rows": 0}, "damaged"),
        ({"NumberOfFrames": 10**9}, "damaged"),
        ({"BitsAllocated": 7}, "damaged"),
        ({"PixelData": b""}, "damaged"),
    ],
    ids=str,
)
def test_headers_that_lie(change, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(dicom(noise(6, 5), **change))


def test_files_without_an_image_and_stumps():
    whole = dicom(noise(6, 5))
    for content in (whole[:200], whole[:400], whole[:-20], bytes(128) + b"DICM"):
        with pytest.raises(UnreadableImageError, match=r"^(a DICOM file without|damaged)"):
            decode(content)


def test_a_bomb_that_is_compressed_as_a_whole_is_refused():
    content = dicom(noise(6, 5)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0", 1)
    with pytest.raises(UnreadableImageError, match="deflated"):
        decode(content)
