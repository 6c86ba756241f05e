"""Compressions of DICOM that pydicom itself does not decode, decoded with imagecodecs.

This module is a plugin in the form that pydicom asks for: DECODER_DEPENDENCIES, `is_available` and
a function that decodes one frame.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

from pydicom import uid
from pydicom.pixels.decoders.base import get_decoder

_DECODERS = {
    uid.JPEGExtended12Bit: "jpeg8_decode",
    uid.JPEGLossless: "ljpeg_decode",
    uid.JPEGLosslessSV1: "ljpeg_decode",
    uid.JPEGLSLossless: "jpegls_decode",
    uid.JPEGLSNearLossless: "jpegls_decode",
    uid.JPEG2000Lossless: "jpeg2k_decode",
    uid.JPEG2000: "jpeg2k_decode",
    uid.HTJ2KLossless: "jpeg2k_decode",
    uid.HTJ2KLosslessRPCL: "jpeg2k_decode",
    uid.HTJ2K: "jpeg2k_decode",
}
"""The functions of imagecodecs, by transfer syntax."""

DECODER_DEPENDENCIES = dict.fromkeys(_DECODERS, ("imagecodecs",))


def is_available(syntax: str) -> bool:
    """Return whether frames of a transfer syntax can be decoded."""
    return syntax in _DECODERS and find_spec("imagecodecs") is not None


@cache
def register_codecs() -> None:
    """Add this plugin to pydicom's decoders, after those that they have."""
    for syntax in _DECODERS:
        get_decoder(syntax).add_plugin("imagecodecs", (__name__, "decode_frame"))


def decode_frame(content: bytes, runner: Any) -> bytes:
    """Return the values of one frame.

    Args:
        content: The compressed frame.
        runner: pydicom's description of it, which is corrected to that of the result.
    """
    import imagecodecs

    array = getattr(imagecodecs, _DECODERS[runner.transfer_syntax])(content)
    runner.set_option("bits_allocated", 8 * array.dtype.itemsize)
    if array.ndim == 3:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
        runner.set_option("photometric_interpretation", "RGB")  # OpenJPEG has converted it
    return array.tobytes()
