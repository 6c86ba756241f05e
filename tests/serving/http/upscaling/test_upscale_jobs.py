"""Requests to upscale an image: what they return, what they refuse, and what they never change."""

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.engine.sampling.upscaler import Upscaler
from tests.serving.http.calls import image_files, read_events

from .conftest import FILE, decode_answer, encode, make_levels, upscale


def test_the_image_is_that_of_iddm_upscale(client, upscaling_server):
    response = upscale(client, **{"class": "dog"}, noise_level=0.25, steps=4, guidance=1.5)
    image = decode_answer(response)
    model = upscaling_server.service.models["large"]
    settings = model.resolve_sampling(None, 4, 1.5)
    generator = ImageGenerator(model.denoiser, settings, num_classes=3, shape=model.shape)
    spec = SampleSpec(1, int(image.text["iddm:index"]))
    low = torch.from_numpy(make_levels()).permute(2, 0, 1)[None]
    (expected,) = Upscaler(generator, 2, 0.25, divisor=4).upscale(low, [spec], seed=3)
    assert image.size == (10, 6)
    assert np.abs(np.asarray(image).astype(int) - expected.int().numpy()).max() <= 1
    answer = response.json()
    assert (answer["model"], answer["settings"]["noise_level"]) == ("large", 0.25)
    (item,) = answer["images"]
    assert (item["class"], item["seed"], item["index"], item["format"]) == ("dog", 3, 0, "png")
    assert answer["command"] == (
        "iddm upscale large image.png --class dog --seed 3 --noise-level 0.25 --sampler dpmpp-2m "
        "--steps 4 --time-grid trailing --guidance 1.5 --guidance-interval 0:1 --checkpoint 500 "
        "--weights average --precision fp32"
    ).replace("dpmpp-2m", model.sampling.sampler)
    assert {key: image.text[f"iddm:{key}"] for key in ("from", "class", "run", "steps")} == {
        "from": "image.png", "class": "dog", "run": "large", "steps": "4"
    }  # fmt: skip


def test_the_same_bytes_alone_and_beside_others_of_other_sizes_and_models(client, upscaling_server):
    alone = image_files(upscale(client, steps=12))

    def send_other(number: int) -> int:
        file = encode(make_levels(3 + number % 3, 5, seed=number))
        with upscaling_server.client() as other:
            if number % 4 == 3:
                query = {"model": "pets", "class": 0, "steps": 9}
                return other.post("/v1/images", json=query).status_code
            return upscale(other, file, steps=8 + number, **{"class": number % 3}).status_code

    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(send_other, number) for number in range(8)]
        beside = [image_files(upscale(client, steps=12)) for _ in range(2)]
        assert {future.result() for future in others} == {200}
    assert beside == [alone] * 2


def test_seed_class_noise_level_and_pixels_each_change_the_image(client):
    base = image_files(upscale(client))
    assert image_files(upscale(client, format="png", model="large")) == base
    changed = (
        {"seed": 4},
        {"class": 1},
        {"noise_level": 0.5},
        {"file": encode(make_levels(seed=1))},
    )
    assert all(image_files(upscale(client, **change)) != base for change in changed)
    same_pixels = decode_answer(upscale(client, encode(make_levels(), "TIFF")))
    assert same_pixels.tobytes() == decode_answer(upscale(client)).tobytes()
    assert same_pixels.text["iddm:from"] == "image.tiff"


def test_without_a_seed_the_server_chooses_one_and_returns_it(client):
    first, second = (upscale(client, seed=None) for _ in "ab")
    assert first.json()["settings"]["seed"] != second.json()["settings"]["seed"]


@pytest.mark.parametrize(("form", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(client, form, kind):
    assert decode_answer(upscale(client, format=form)).format == kind


def test_a_stream_has_previews_of_the_size_of_the_image(client, upscaling_server):
    body = {"image": base64.b64encode(FILE).decode(), "seed": 3, "response": "stream", "steps": 60}
    with client.stream("POST", "/v1/upscale", json=body) as response:
        events = read_events(response)
    names = [name for name, _ in events]
    assert names[0] == "job"
    assert names[-2:] == ["image", "done"]
    assert events[0][1]["command"].startswith("iddm upscale large image.png --seed 3")
    previews = [content["image"] for name, content in events if name == "preview"]
    assert previews
    file = base64.b64decode(previews[0])
    assert file[16:24] == (10).to_bytes(4, "big") + (6).to_bytes(4, "big"), "width and height"


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"model": "larger"}, 404, "no_such_model", "Did you mean large?"),
        ({"model": "pets"}, 422, "model_generates", "use POST /v1/images"),
        ({"class": "dgo"}, 422, "no_such_class", "Did you mean dog?"),
        ({"class": 3}, 422, "no_such_class", "no such class"),
        ({"model": "strict"}, 422, "class_missing", "name one"),
        ({"noise_level": 0.6}, 422, "noise_level_too_high", "at most 0.5"),
        ({"noise_level": 2}, 422, "invalid", "noise_level"),
        ({"steps": 1001}, 422, "too_many_steps", "at most 1000"),
        ({"guidance_interval": [1, 0]}, 422, "bad_interval", "must not exceed"),
        ({"count": 2}, 422, "invalid", "count"),
        ({"response": "zip"}, 422, "invalid", "response"),
        ({"image": ""}, 422, "invalid", "image"),
        ({"image": 5}, 422, "invalid", "image"),
        ({"image": "x" * 9 * 2**20}, 413, "too_large", "at most 8388608 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_an_invalid_request_is_rejected_with_a_sentence(client, fields, status, code, message):
    response = upscale(client, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert message in error["message"]


def test_a_model_that_needs_a_class_takes_one(client):
    assert decode_answer(upscale(client, model="strict", **{"class": 2})).text["iddm:class"] == "1"


def test_other_routes_refuse_a_model_that_upscales_and_name_the_right_one(client):
    query = {"model": "large", "prompt": "cat", "size": "512x512"}
    for path, body in (("images", {"model": "large"}), ("images/generations", query)):
        refused = client.post(f"/v1/{path}", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "model_upscales")
        assert "use POST /v1/upscale" in refused.json()["error"]["message"]
    thumbnail = client.get("/v1/models/large/thumbnails/0")
    assert thumbnail.status_code == 404
    assert "upscales" in thumbnail.json()["error"]["message"]


def test_without_a_name_the_first_model_that_can_do_it_is_taken(client):
    assert upscale(client).json()["model"] == "large"
    assert client.post("/v1/images", json={"class": 0, "steps": 1}).json()["model"] == "pets"


def test_models_say_what_they_do(client):
    pets, large, strict = client.get("/v1/models").json()["data"]
    assert (pets["upscales"], large["upscales"]) == (None, 2)
    assert [one["needs_class"] for one in (pets, large, strict)] == [True, False, True]
    assert large["exact"] is True
    limits = large["limits"]
    assert (limits["pixels"], limits["noise_level"], limits["body"]) == (2**18, 0.5, 8 * 2**20)
    assert "pixels" not in pets["limits"]


def test_long_bodies_are_bounded_together(client, upscaling_server):
    """Bodies of which the server waits for the rest leave no room for another long one."""
    limits = upscaling_server.service.limits
    head = (
        f"POST /v1/upscale HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {limits.max_upload}\r\n"
        "content-type: application/json\r\n\r\n{"
    ).encode()
    body = json.dumps({"image": base64.b64encode(FILE).decode(), "steps": 1}).encode()
    long = body + b" " * limits.max_body

    def send():
        headers = {"content-type": "application/json"}
        return client.post("/v1/upscale", content=long, headers=headers)

    with ExitStack() as held:
        for _ in range(limits.max_uploads // limits.max_upload):
            address = ("127.0.0.1", upscaling_server.port)
            connection = held.enter_context(socket.create_connection(address))
            connection.sendall(head)
        upscaling_server.wait_until(lambda: send().status_code == 429)
        refused = send()
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["code"] == "uploads_full"
        assert upscale(client).status_code == 200, "a short one is not counted"
    upscaling_server.wait_until(lambda: send().status_code == 200)


def test_the_document_names_the_encoding_of_the_image(client):
    document = json.loads(client.get("/v1/openapi.json").text)
    fields = document["components"]["schemas"]["UpscaleRequest"]["properties"]
    assert fields["image"]["contentEncoding"] == "base64"
    assert "count" not in fields
