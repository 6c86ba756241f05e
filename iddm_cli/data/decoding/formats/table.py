"""The table of image formats: what each is called, recognised by, read by, and needs.

To add a format, add its row to IMAGE_FORMATS; if Pillow cannot read it, write its module in this
folder, with a function `read`.
"""

import re
from dataclasses import dataclass

SIGNATURE_BYTES = 512
"""Number of bytes at the beginning of a file that tell its format."""

ARRAY_SUFFIX = ".npy"


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """One image format: all that the program knows about it."""

    name: str
    """Unique name, as people write it."""

    noun: str
    """One such file, after a number: "photo" in "3 HEIC photos"."""

    suffixes: tuple[str, ...]
    """Ends of file names, in lower case."""

    signature: str
    """Regular expression for the first SIGNATURE_BYTES of a file, each byte one character."""

    reader: str = "pillow"
    """Module of this folder whose function `read(handle, min_side, row)` decodes it."""

    plugins: tuple[str, ...] = ()
    """Pillow's names of the format; empty if Pillow does not read it."""

    extra: str = ""
    """The extra of iddm-cli that contains the packages needed; "" if none are."""

    packages: tuple[str, ...] = ()
    """The modules that reading it imports from the extra."""


_HEIF_BRANDS = "hei[cxms]|hev[cxms]|mif1|msf1"

IMAGE_FORMATS: tuple[ImageFormat, ...] = (
    ImageFormat(
        name="DICOM",
        noun="image",
        suffixes=(".dcm", ".dicom", ".ima"),
        # or, without the preamble, a first tag of group 2 or 8
        signature=r".{128}DICM|\x02\0\0\0UL\x04\0|\x08\0[\0\x01\x05\x08\x12-\x18]\0(?:[A-Z]{2}|.\0{3})",
        reader="dicom",
        extra="science",
        packages=("pydicom",),
    ),
    ImageFormat(
        name="JPEG",
        noun="photo",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
        signature=r"\xff\xd8\xff",
        plugins=("JPEG",),  # also opens MPO, which some cameras write
    ),
    ImageFormat(
        name="PNG",
        noun="image",
        suffixes=(".png", ".apng"),
        signature=r"\x89PNG\r\n\x1a\n",
        plugins=("PNG",),
    ),
    ImageFormat(
        name="WebP",
        noun="image",
        suffixes=(".webp",),
        signature=r"RIFF.{4}WEBP",
        plugins=("WEBP",),
    ),
    ImageFormat(
        name="AVIF",
        noun="image",
        suffixes=(".avif",),
        signature=r".{4}ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,16}?avi[fs])",
        plugins=("AVIF",),
    ),
    ImageFormat(
        name="BMP",
        noun="image",
        suffixes=(".bmp", ".dib"),
        signature=r"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0{3}",
        plugins=("BMP",),
    ),
    ImageFormat(
        name="TIFF",
        noun="image",
        suffixes=(".tif", ".tiff"),
        signature=r"II[*+]\0|MM\0[*+]|MM[*]\0|II\0[*]",
        reader="tiff",
        plugins=("TIFF",),
    ),
    ImageFormat(
        name="GIF",
        noun="image",
        suffixes=(".gif",),
        signature=r"GIF8[79]a",
        plugins=("GIF",),
    ),
    ImageFormat(
        name="PNM",
        noun="image",
        suffixes=(".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
        signature=r"P[1-6fF]\s",
        reader="netpbm",
        plugins=("PPM",),
    ),
    ImageFormat(
        name="JPEG 2000",
        noun="image",
        suffixes=(".jp2", ".j2k", ".jpx", ".jpf", ".j2c"),
        signature=r"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        plugins=("JPEG2000",),
    ),
    ImageFormat(
        name="HEIC",
        noun="photo",
        suffixes=(".heic", ".heif", ".hif"),
        signature=rf".{{4}}ftyp(?:{_HEIF_BRANDS})",
        reader="plugins",
        plugins=("HEIF",),
        extra="heif",
        packages=("pillow_heif",),
    ),
    ImageFormat(
        name="JPEG XL",
        noun="image",
        suffixes=(".jxl",),
        signature=r"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
        reader="plugins",
        plugins=("JXL",),
        extra="jxl",
        packages=("pillow_jxl",),
    ),
    ImageFormat(
        name="NumPy",
        noun="array",
        suffixes=(ARRAY_SUFFIX,),
        signature=r"\x93NUMPY",
        reader="npy",
    ),
)
"""In order of precedence: a DICOM file may begin as a TIFF does, for programs that read only that,
and AVIF carries general brands of HEIC."""

IMAGE_SUFFIXES = tuple(suffix for row in IMAGE_FORMATS for suffix in row.suffixes)

_SIGNATURES = tuple(
    (re.compile(row.signature.encode("latin-1"), re.DOTALL), row) for row in IMAGE_FORMATS
)


def find_format(start: bytes) -> ImageFormat | None:
    """Return the format of a file by its first SIGNATURE_BYTES, or None if it is not an image."""
    return next((row for signature, row in _SIGNATURES if signature.match(start)), None)
