"""Images that are broken, or out to hurt: each ends in a reason, none in a crash or a wait."""

import io
import os
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.images import UnreadableImageError, decode_image_file
from iddm_cli.data.decoding.resize import reduce_to_8_bits, to_pixels
from tests.data.conftest import cache_dir  # noqa: F401 (a fixture)

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters first


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def pattern(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_missing_empty_folder_and_text(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    reasons = {
        "missing.png": "no such file or directory",
        "empty.png": "the file is empty",
        "text.png": "not an image",
        "link.png": "no such file or directory",
        "loop.png": "too many levels of symbolic links",
        ".": "is a directory|not a regular file",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableImageError, match=reason):
            decode_image_file(tmp_path / name)


@pytest.mark.timeout(5)
def test_a_fifo_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        decode_image_file(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif", "ppm"])
def test_a_file_cut_in_half(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, pattern(40, 40), f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableImageError, match=r"^[a-z]"):
        decode_image_file(path)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises any number of pixels, and which holds next to none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def test_a_png_with_a_broken_chunk(tmp_path: Path) -> None:
    path = saved(tmp_path, pattern(200, 200))
    content = path.read_bytes()
    place = content.rindex(b"IDAT")
    path.write_bytes(content[:place] + b"\xebJ%\xbc" + content[place + 4 :])
    with pytest.raises(UnreadableImageError, match="damaged: broken PNG file"):
        decode_image_file(path)


@pytest.mark.parametrize(
    ("width", "height"), [(8001, 8000), (10_000, 10_000), (14_000, 14_000), (16_385, 1)]
)
def test_too_large_is_known_from_the_header(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png_of_size(width, height))
    with pytest.raises(UnreadableImageError, match="too large"):
        decode_image_file(tmp_path / "a.png")


def test_the_largest_that_is_allowed_is_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (16_384, 3_000)))
    assert decode_image_file(path).image.size == (16_384, 3_000)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"SIMPLE  =  T" + b" " * 80])
def test_formats_that_run_programs_are_not_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"not an image|iddm does not read"):
        decode_image_file(tmp_path / "a.png")


def specimens() -> list[bytes]:
    colour, grey = pattern(12, 14), pattern(12, 14).convert("L")
    made = [(colour, form) for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")]
    made += [(grey.convert("LA"), "PNG"), (colour.quantize(9), "PNG"), (grey, "TIFF")]
    made += [(colour.convert("CMYK"), "TIFF"), (grey.convert("1"), "PNG")]
    files = []
    for image, form in made:
        buffer = io.BytesIO()
        image.save(buffer, form)
        files.append(buffer.getvalue())
    return files


def test_damaged_bytes_end_in_pixels_or_a_reason(tmp_path: Path) -> None:
    rng, files, path = random.Random(0), specimens(), tmp_path / "a.png"
    refused = 0
    for _ in range(500):
        content = bytearray(rng.choice(files))
        for _ in range(rng.choice((1, 2, 5))):
            content[rng.randrange(min(len(content), 300))] = rng.choice(
                (0, 255, rng.randrange(256))
            )
        path.write_bytes(content)
        try:
            image = reduce_to_8_bits(decode_image_file(path))
            to_pixels(image, size=(5, 4), channels=3, aspect="crop", background="white")
        except UnreadableImageError as error:
            assert str(error)
            refused += 1
    assert 100 < refused < 450
