"""A server of a model that upscales, and of one that generates; images to send to it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import make_model, make_upscaler, serving


@pytest.fixture(scope="package")
def upscaling_server():
    strict = make_upscaler("strict", label_drop=0.0)
    with serving(make_model(), make_upscaler(), strict, max_batch=8, max_queue=4) as server:
        yield server
        assert server.reports == [], "nothing failed inside"


@pytest.fixture
def client(upscaling_server):
    with upscaling_server.client() as client:
        yield client


def make_levels(height=3, width=5, seed=0) -> np.ndarray:
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(image, form="PNG", **options) -> bytes:
    """Return the file of an image, or of an array of levels."""
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, form, **options)
    return buffer.getvalue()


FILE = encode(make_levels())


def upscale(client, file: bytes = FILE, **fields):
    body = {"image": base64.b64encode(file).decode(), "seed": 3, **fields}
    return client.post("/v1/upscale", json=body)


def decode_answer(response) -> Image.Image:
    assert response.status_code == 200, response.text
    (image,) = response.json()["images"]
    return Image.open(io.BytesIO(base64.b64decode(image["image"])))
