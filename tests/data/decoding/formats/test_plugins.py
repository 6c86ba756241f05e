"""HEIC and JPEG XL: upright, by their content, within the limits, and never with an exception."""

import io
import random
import sys

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.formats.plugins import JxlHeader
from iddm_cli.data.decoding.images import UnreadableImageError
from tests.data.decoding.formats.files import decode, noise
from tests.data.decoding.test_images import UPRIGHT

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
pillow_heif.register_heif_opener()

BLOCKS = np.array([[0, 120, 240], [60, 180, 90]], np.uint8)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def photo(form: str, orientation: int = 1, scale: int = 32, **options: object) -> bytes:
    image = Image.fromarray(np.kron(BLOCKS, np.ones((scale, scale), np.uint8))).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, form, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["HEIF", "JXL"])
def test_images_are_turned_upright(form, orientation):
    decoded = decode(photo(form, orientation))
    expected = UPRIGHT[orientation](BLOCKS)
    seen = np.asarray(decoded.image.convert("L"))[16::32, 16::32].astype(int)
    assert seen.shape == expected.shape
    assert abs(seen - expected).max() <= 6
    assert (decoded.height // 32, decoded.width // 32) == expected.shape
    assert (decoded.format, decoded.animated) == (form, False)


def test_a_jpeg_xl_image_that_its_decoder_turns_is_not_turned_again(tmp_path):
    """A JPEG recompressed as JPEG XL has its orientation in the codestream and in EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.kron(BLOCKS, np.ones((32, 32), np.uint8))).convert("RGB")
    stored.save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as image, pytest.warns(UserWarning):
        content = encode(image, "JXL")
    seen = np.asarray(decode(content).image.convert("L"))[16::32, 16::32].astype(int)
    assert abs(seen - UPRIGHT[6](BLOCKS)).max() <= 6


def test_jpeg_xl_of_16_bits_keeps_them():
    array = noise(12, 10)
    decoded = decode(encode(Image.fromarray(array), "JXL", lossless=True))
    assert (decoded.image[..., 0] == array).all()


@pytest.mark.parametrize(("form", "package"), [("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")])
def test_without_the_package_the_reason_names_the_extra(monkeypatch, form, package):
    content = photo(form)
    monkeypatch.setitem(sys.modules, package, None)
    extra = {"HEIF": "a HEIC photo: pip install 'iddm-cli[heif]'",
             "JXL": "a JPEG XL image: pip install 'iddm-cli[jxl]'"}  # fmt: skip
    with pytest.raises(UnreadableImageError) as caught:
        decode(content)
    assert str(caught.value) == extra[form]


@pytest.mark.parametrize("form", ["HEIF", "JXL"])
def test_damaged_bytes_end_in_an_image_or_a_reason(form):
    rng, whole, refused = random.Random(0), photo(form, scale=8), 0
    for i in range(150):
        content = bytearray(whole)
        if i % 3:
            for _ in range(rng.choice((1, 2, 5))):
                content[rng.randrange(12, min(len(content), 300))] = rng.randrange(256)
        else:
            del content[rng.randrange(12, len(content)) :]
        try:
            decode(bytes(content))
        except UnreadableImageError as error:
            assert 5 < len(str(error)) < 200
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("size", "options"),
    [((256, 64), {}), ((40, 24), {}), ((37, 23), {}), ((300, 1), {}), ((64, 64), {}),
     ((700, 512), {"use_container": True})],
)  # fmt: skip
def test_the_size_is_read_from_the_header(size, options):
    content = encode(Image.new("RGB", size), "JXL", **options)
    header = JxlHeader.parse(io.BytesIO(content))
    assert (header.width, header.height, header.orientation) == (*size, 1)


def test_sizes_and_orientations_of_a_header_written_by_hand():
    """Not small; height 1 + 0b11 over 30 bits, ratio 7 (2:1); not default, extra fields, 6."""
    bits = [0, 1, 1, *[(99_999 >> i) & 1 for i in range(30)], 1, 1, 1, 0, 1, 1, 0, 1]
    number = sum(bit << i for i, bit in enumerate(bits))
    header = JxlHeader.parse(io.BytesIO(b"\xff\x0a" + number.to_bytes(8, "little")))
    assert header == JxlHeader(width=200_000, height=100_000, orientation=6)


def test_a_huge_header_is_refused_before_anything_is_decoded():
    bits = 0b11 << 1 | 99_999 << 3 | 1 << 33
    content = b"\xff\x0a" + bits.to_bytes(8, "little") + bytes(50)
    with pytest.raises(UnreadableImageError, match="too large: 100000x100000"):
        decode(content)
    whole = photo("HEIF")
    at = whole.index(b"ispe") + 8
    lie = whole[:at] + (2**30).to_bytes(4, "big") * 2 + whole[at + 8 :]
    with pytest.raises(UnreadableImageError, match=r"too large|damaged|not an image"):
        decode(lie)


def test_an_orientation_in_the_codestream_replaces_that_in_exif(monkeypatch):
    """libjxl has applied it; here the header says so, of an image that was stored upright."""
    header = JxlHeader(width=96, height=64, orientation=6)
    monkeypatch.setattr(JxlHeader, "parse", lambda handle: header)
    seen = np.asarray(decode(photo("JXL", 6)).image.convert("L"))[16::32, 16::32].astype(int)
    assert abs(seen - BLOCKS).max() <= 6
