"""Images that cannot be used are refused with a sentence, and never with a 500."""

import asyncio
import base64
import io
import random
import time

import numpy as np
import pytest
from PIL import Image

from iddm_cli.data.decoding.own_size import OwnSizeSpec
from iddm_cli.serving.http.upscaling import uploaded_images
from iddm_cli.serving.http.upscaling.uploaded_images import UploadReader
from iddm_cli.serving.scheduling.scheduler import QueueFullError
from iddm_cli.value_range import EIGHT_BIT
from tests.data.decoding.test_own_size import make_bomb

from .conftest import FILE, decode_answer, encode, make_levels, upscale

FRAMES = [Image.fromarray(make_levels(seed=seed)) for seed in (0, 1)]
SEVERAL = {"save_all": True, "append_images": FRAMES[1:]}
GREY_AND_MORE = np.stack([make_levels()[..., 0]] * 2)

REFUSED = {
    "no image": (b"hello", "unknown_format", "not a file of a supported format"),
    "another format": (encode(make_levels(), "GIF"), "unknown_format", "PNG, JPEG, WebP, TIFF"),
    "an empty PNG": (FILE[:8], "unreadable_image", "cannot be decoded"),
    "half a PNG": (FILE[:60], "unreadable_image", "cannot be decoded"),
    "a bomb": (make_bomb(9000), "image_too_large", "9000 x 9000 pixels; at most 65,536"),
    "a large image": (encode(Image.new("L", (300, 300))), "image_too_large", "300 x 300"),
    "a thin image": (
        encode(Image.new("L", (5000, 1))), "image_too_large", "10000 x 2 pixels once it is upscaled"
    ),
    "frames": (encode(FRAMES[0], "PNG", **SEVERAL), "animated_image", "several frames"),
    "frames of WebP": (encode(FRAMES[0], "WEBP", **SEVERAL), "animated_image", "several frames"),
    "pages": (encode(FRAMES[0], "TIFF", **SEVERAL), "animated_image", "several frames"),
    "values that are no levels": (
        encode(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"),
        "unreadable_image", "cannot be decoded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_an_image_that_cannot_be_used_is_refused(client, kind):
    file, code, message = REFUSED[kind]
    response = upscale(client, file)
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == code, error["message"]
    assert error["message"].startswith("image: ")
    assert message in error["message"]


@pytest.mark.parametrize("text", ["é", "abc", "data:image/png;base64,AAAA", "AA\nAA", "\ud800"])
def test_text_that_is_not_base64_is_refused(client, text):
    response = client.post("/v1/upscale", content=f'{{"image": {text!a}}}'.replace("'", '"'),
                           headers={"content-type": "application/json"})  # fmt: skip
    assert (response.status_code, response.json()["error"]["code"]) in {
        (422, "bad_base64"), (422, "invalid"), (400, "refused"),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_grey_images_and_opacity_become_what_the_network_reads(client, form):
    mode = "RGB" if form == "JPEG" else "RGBA"
    image = Image.fromarray(make_levels()).convert(mode)
    assert decode_answer(upscale(client, encode(image, form))).size == (10, 6)
    assert decode_answer(upscale(client, encode(image.convert("L"), form))).mode == "RGB"


def test_a_photo_with_a_preview_is_no_animation(client):
    file = encode(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
    assert Image.open(io.BytesIO(file)).n_frames == 2
    assert decode_answer(upscale(client, file)).size == (10, 6)


def test_no_damaged_file_ends_in_a_500(client):
    """Bytes of small files are changed, or cut off."""
    rng = random.Random(0)
    files = [encode(make_levels(), form) for form in ("PNG", "JPEG", "TIFF", "WEBP")]
    statuses = []
    for number in range(24):
        damaged = bytearray(files[number % 4])
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        cut = rng.randrange(8, len(damaged)) if number % 3 == 0 else len(damaged)
        statuses.append(upscale(client, bytes(damaged[:cut]), steps=1).status_code)
    assert set(statuses) == {200, 422}


def test_a_decoder_that_hangs_is_an_answer_and_others_are_decoded_afterwards(monkeypatch):
    monkeypatch.setattr(uploaded_images, "DECODE_SECONDS", 0.5)
    monkeypatch.setattr(uploaded_images, "MAX_WAITING", 1)
    spec, text = OwnSizeSpec(3, "white", EIGHT_BIT), base64.b64encode(FILE).decode()

    async def read(count: int) -> list:
        reads = (reader.read(text, spec, 100) for _ in range(count))
        return await asyncio.gather(*reads, return_exceptions=True)

    reader = UploadReader()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(uploaded_images, "prepare_quietly", hang)
            hanging, refused = asyncio.run(read(2))
        assert "takes longer than" in hanging.message
        assert isinstance(refused, QueueFullError), "none may wait here"
        (found,) = asyncio.run(read(1))
        assert (found.prepared.width, found.suffix) == (5, "png")
    finally:
        reader.close()


def hang(*_):
    time.sleep(60)
