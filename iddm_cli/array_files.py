"""Image files in the units of a dataset: PNG of 8 or 16 bits, TIFF of any type, NumPy arrays.

`image_files` writes images for people; this module writes values for programs.
"""

import io
import struct
import zlib
from importlib.util import find_spec

import numpy as np
from numpy import ndarray
from PIL import Image

from iddm_cli import image_files
from iddm_cli.errors import UsageError
from iddm_cli.value_range import ValueRange

TIFF_PACKAGE = "tifffile"
LOSSY_FORMS = ("jpg", "webp")
ALPHA_CHANNELS = (2, 4)

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB = 2
"""Colour type of a PNG (specification, 11.2.1)."""


def choose_form(values: ValueRange, channels: int) -> str:
    """Return the file format for images of a range: png if it can hold them."""
    if png_problem(values, channels) is None:
        return "png"
    return "tiff" if find_spec(TIFF_PACKAGE) else "npy"


def check_form(form: str, values: ValueRange, channels: int) -> None:
    """Check that a file format can hold the images of a model.

    Raises:
        UsageError: It cannot, or a package is missing.
    """
    if form == "tiff" and find_spec(TIFF_PACKAGE) is None:
        raise UsageError(
            f"--format tiff needs a package that is not installed: {TIFF_PACKAGE}",
            "Install it with: pip install 'iddm-cli[science]'; or use --format npy.",
        )
    problem = png_problem(values, channels) if form == "png" else _lossy_problem(values, channels)
    if form in ("png", *LOSSY_FORMS) and problem:
        raise UsageError(
            f"--format {form} cannot hold the images of this model: {problem}",
            "Use --format tiff or --format npy, which hold the values as they are.",
        )


def png_problem(values: ValueRange, channels: int) -> str | None:
    """Return why a PNG cannot hold the values of a range; None if it can."""
    if channels not in (1, 3) and not (values.alpha and channels in ALPHA_CHANNELS):
        return f"they have {channels} bands"
    if np.dtype(values.dtype).kind == "f":
        return f"their values are {values.dtype}"
    if min(values.low) < 0 or max(values.high) > np.iinfo(np.uint16).max:
        return f"their values are {values.describe()}"
    return "they have 16 bits and opacity" if values.alpha and not values.is_8_bit else None


def _lossy_problem(values: ValueRange, channels: int) -> str | None:
    """Return why a format of 8 bits cannot hold the values of a range; None if it can."""
    if not values.is_8_bit:
        return f"their values are {values.describe()}"
    return None if channels in (1, 3) else f"they have {channels} bands"


def encode_values(values: ndarray, form: str, notes: dict[str, str] | None = None) -> bytes:
    """Encode values as the bytes of a file.

    Args:
        values: The values, [H, W, C], of any type that the format can hold.
        form: png, tiff or npy.
        notes: Text chunks of a PNG, or the description of a TIFF; npy has no place for them.
    """
    if form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        return buffer.getvalue()
    return _encode_tiff(values, notes or {}) if form == "tiff" else _encode_png(values, notes or {})


def _encode_tiff(values: ndarray, notes: dict[str, str]) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    channels = values.shape[2]
    tifffile.imwrite(
        buffer,
        values[..., 0] if channels == 1 else values,
        photometric="rgb" if channels == 3 else "minisblack",
        planarconfig=None if channels == 1 else "contig",
        metadata=None,
        software="iddm",
        description="; ".join(f"{key}: {value}" for key, value in notes.items())
        .encode("ascii", "backslashreplace")
        .decode(),
    )
    return buffer.getvalue()


def _encode_png(values: ndarray, notes: dict[str, str]) -> bytes:
    if values.dtype == np.uint8:
        image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        return image_files.encode_image(image, "png", notes)
    deep = values.astype(np.uint16)
    if values.shape[2] == 1:
        return image_files.encode_image(Image.fromarray(deep[..., 0]), "png", notes)
    return _encode_rgb_16(deep, notes)


def _encode_rgb_16(values: ndarray, notes: dict[str, str]) -> bytes:
    """Encode RGB of 16 bits, which Pillow does not write (PNG specification, 10 and 11)."""
    height, width, _ = values.shape
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # no filter
    chunks = image_files.build_text_chunks(notes).chunks
    header = struct.pack(">IIBBBBB", width, height, 16, RGB, 0, 0, 0)
    content = [(b"IHDR", header), *((chunk[0], chunk[1]) for chunk in chunks)]
    content += [(b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(_encode_chunk(kind, data) for kind, data in content)


def _encode_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum
