"""Images keep their size; one that is too large is refused by its header, before it is decoded."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding import own_size
from iddm_cli.data.decoding.own_size import (
    ImageBytes,
    OwnSizeSpec,
    find_noise_index,
    prepare_at_own_size,
    prepare_quietly,
    read_size,
)
from iddm_cli.data.decoding.preprocess import PreparedImage
from iddm_cli.value_range import EIGHT_BIT

SPEC = OwnSizeSpec(3, "white", EIGHT_BIT)


def encode(levels: np.ndarray, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, form, **options)
    return buffer.getvalue()


def make_levels(height=6, width=5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_bomb(side: int) -> bytes:
    """Return a PNG of a few hundred bytes whose header gives a huge size."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_pixels_are_those_of_the_file(form):
    levels = make_levels()
    image = prepare_at_own_size(SPEC, ImageBytes(encode(levels, form), 30))
    assert (image.height, image.width) == (6, 5)
    assert image.planes == np.moveaxis(levels, -1, 0).tobytes()


def test_the_noise_index_depends_on_pixels_and_size_alone():
    def index(levels: np.ndarray, form="PNG") -> int:
        image = prepare_at_own_size(SPEC, ImageBytes(encode(levels, form), 10**6))
        assert isinstance(image, PreparedImage)
        return find_noise_index(image)

    levels = make_levels()
    first = index(levels)
    assert first == index(levels, "TIFF") == 500397471, "a file of today, upscaled again, is too"
    assert first != index(255 - levels)
    assert first != index(levels.reshape(5, 6, 3))


@pytest.mark.parametrize(("side", "said"), [(5000, "5000 x 5000"), (60_000, "too large: ")])
def test_a_bomb_is_refused_before_it_is_decoded(side, said, monkeypatch):
    monkeypatch.setattr(own_size, "decode_image", lambda *_: pytest.fail("it was decoded"))
    reason = prepare_at_own_size(SPEC, ImageBytes(make_bomb(side), 30))
    assert reason.startswith("too large: ")
    assert said in reason


def test_a_size_that_pillow_cannot_read_is_compared_after_decoding(monkeypatch):
    content = encode(make_levels(), "PNG")
    assert read_size(content) == (5, 6)
    assert read_size(b"no image") == read_size(content[:20]) == (0, 0)
    monkeypatch.setattr(own_size, "read_size", lambda _: (0, 0))
    assert "at most 29" in prepare_at_own_size(SPEC, ImageBytes(content, 29))


@pytest.mark.parametrize("content", [b"", b"no image", encode(make_levels(), "PNG")[:60]])
def test_damage_is_a_reason(content):
    assert isinstance(prepare_at_own_size(SPEC, ImageBytes(content, 100)), str)


def test_only_in_a_worker_process_decoders_print_nothing(monkeypatch, capfd):
    class NoisyHandle(ImageBytes):
        def open(self, min_side=0):
            os.write(2, b"TIFFFillStrip: read error")
            return super().open(min_side)

    handle, stderr = NoisyHandle(encode(make_levels(), "PNG"), 100), os.dup(2)
    try:
        assert isinstance(prepare_quietly(SPEC, handle), PreparedImage)
        assert "TIFFFillStrip" in capfd.readouterr().err
        monkeypatch.setattr("multiprocessing.parent_process", object)
        assert isinstance(prepare_quietly(SPEC, handle), PreparedImage)
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    assert capfd.readouterr().err == ""


def test_whatever_fails_for_a_client_is_a_reason(monkeypatch):
    def fail(*_):
        raise OverflowError("too large to convert")

    monkeypatch.setattr(own_size, "prepare_image", fail)
    handle = ImageBytes(encode(make_levels(), "PNG"), 100)
    assert prepare_quietly(SPEC, handle) == "damaged: too large to convert"
