"""Requests to `/v1/images`, and the files and events in their responses."""

import base64
import json


def generate(client, **fields):
    return client.post("/v1/images", json={"class": "cat", "seed": 3, **fields})


def image_files(response) -> list[bytes]:
    assert response.status_code == 200, response.text
    return [base64.b64decode(image["image"]) for image in response.json()["images"]]


def read_events(response) -> list[tuple[str, dict]]:
    blocks = "".join(response.iter_text()).split("\n\n")
    pairs = [block.removeprefix("event: ").split("\ndata: ") for block in blocks if "data" in block]
    return [(name, json.loads(data)) for name, data in pairs]
