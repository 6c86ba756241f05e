"""The table of formats: rows are complete, and content decides which row reads a file."""

import importlib
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from iddm_cli.data.decoding.formats.table import IMAGE_FORMATS, IMAGE_SUFFIXES, find_format
from iddm_cli.data.decoding.images import decode_image_file
from tests.data.decoding.formats.files import noise, npy


@pytest.mark.parametrize("row", IMAGE_FORMATS, ids=lambda row: row.name)
def test_a_row_is_complete(row):
    assert row.suffixes and all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in row.suffixes)
    assert callable(importlib.import_module(f"iddm_cli.data.decoding.formats.{row.reader}").read)
    assert bool(row.extra) == bool(row.packages)
    assert row.noun


def test_no_suffix_or_name_occurs_twice():
    assert len({*IMAGE_SUFFIXES}) == len(IMAGE_SUFFIXES)
    assert len({row.name for row in IMAGE_FORMATS}) == len(IMAGE_FORMATS)


def test_each_extra_is_one_of_the_package():
    text = (Path(__file__).parents[4] / "pyproject.toml").read_text()
    for row in IMAGE_FORMATS:
        assert not row.extra or re.search(rf"^{row.extra} = \[", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypmp42", None),
        (bytes(128) + b"DICM", "DICOM"),
        (b"II*\0" + bytes(124) + b"DICM", "DICOM"),
        (b"II*\0", "TIFF"),
        (b"II+\0\x08\0\0\0", "TIFF"),
        (b"P5 3 2 255\n", "PNM"),
        (b"P5: a list of things", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"BM is not a bitmap because of what follows", None),
        (b"", None),
    ],
)
def test_formats_are_found_by_their_first_bytes(start, name):
    row = find_format(start)
    assert (row.name if row else None) == name


def test_content_decides_and_not_the_suffix(tmp_path):
    image = Image.fromarray(noise(8, 9, dtype="uint8"))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    (tmp_path / "whatsapp.heic").write_bytes(buffer.getvalue())
    (tmp_path / "array.jpg").write_bytes(npy(noise(8, 9)))
    assert decode_image_file(tmp_path / "whatsapp.heic").format == "JPEG"
    assert decode_image_file(tmp_path / "array.jpg").format == "NPY"
