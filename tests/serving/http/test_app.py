"""The routes, over a real socket."""

import base64
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from iddm_cli.profiles.choices import SAMPLERS
from iddm_cli.value_range import ValueRange
from tests.serving.conftest import make_model, serving, slowed

from .calls import generate, image_files


def test_images_carry_their_sampling_metadata(client):
    response = generate(client, count=2, sampler="dpmpp-2m", steps=4, guidance=1.5).json()
    first, second = response["images"]
    assert (first["index"], second["index"]) == (0, 1)
    assert first["image"] != second["image"]
    with Image.open(io.BytesIO(base64.b64decode(second["image"]))) as image:
        assert image.size == (16, 8)
        notes = image.text
    assert notes["iddm:run"] == "pets"
    assert notes["iddm:class"] == "cat"
    assert [notes[f"iddm:{key}"] for key in ("seed", "index", "steps")] == ["3", "1", "4"]
    assert response["command"] == (
        "iddm generate pets --class cat --count 2 --seed 3 --sampler dpmpp-2m --steps 4 "
        "--time-grid trailing --guidance 1.5 --guidance-interval 0:1 --checkpoint 500 "
        "--weights average --precision fp32 --same-noise"
    )


@pytest.mark.parametrize(("form", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(client, form, kind):
    (file,) = image_files(generate(client, format=form))
    assert Image.open(io.BytesIO(file)).format == kind


def test_a_zip_holds_the_same_files_and_a_manifest(client):
    response = generate(client, count=3, response="zip")
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        files = [archive.read(name) for name in manifest["images"]]
    assert files == image_files(generate(client, count=3))
    again = generate(client, count=3, response="zip")
    assert again.content[:100] == response.content[:100]


def test_models_by_name(client):
    listed = client.get("/v1/models").json()["data"]
    assert [(model["id"], model["classes"]) for model in listed] == [
        ("pets", ["cat", "dog", "1"]),
        ("plain", []),
    ]
    assert listed[0]["image_size"] == [8, 16]
    assert listed[0]["exact"] is True
    plain = client.post("/v1/images", json={"model": "plain", "seed": 1})
    assert plain.json()["images"][0]["class"] == ""


def test_the_same_bytes_alone_and_beside_fifty_other_requests(client, server):
    """The others differ in class, sampler and number of steps."""
    query = {"class": 1, "seed": 5, "count": 2, "steps": 12}
    alone = image_files(generate(client, **query))
    samplers = [name for name, row in SAMPLERS.items() if not row.needs_tables]

    def send_other(number: int) -> int:
        fields = {"class": number % 3, "seed": number, "count": 1 + number % 3}
        fields |= {"sampler": samplers[number % len(samplers)], "steps": 9 + number // 4}
        fields |= {"guidance": number / 9}
        with server.client() as other:
            return generate(other, **fields).status_code

    with ThreadPoolExecutor(50) as pool:
        others = [pool.submit(send_other, number) for number in range(50)]
        server.wait_until(lambda: server.service.scheduler.count_jobs()["running"] > 10)
        beside = [image_files(generate(client, **query)) for _ in range(3)]
        assert {future.result() for future in others} == {200}
    assert beside == [alone] * 3


def test_the_progress_of_a_job_and_its_cancellation(client, model):
    with serving(slowed(model, 0.02), max_batch=1) as own, own.client() as one, own.client() as two:
        query = {"class": 0, "steps": 1000, "response": "stream"}
        with one.stream("POST", "/v1/images", json=query) as response:
            lines = response.iter_lines()
            next(lines)
            job_id = json.loads(next(lines).removeprefix("data: "))["id"]
            status = two.get(f"/v1/jobs/{job_id}").json()
            assert (status["state"], status["count"], status["steps"]) == ("running", 1, 1000)
            assert (status["place"], status["pictures"], status["model"]) == (0, 0, "pets")
            assert two.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
            assert any("cancelled" in line for line in lines)
        assert two.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert client.get("/v1/jobs/" + "0" * 24).status_code == 404


def test_metrics_are_in_the_format_of_prometheus(client):
    generate(client)
    text = client.get("/metrics").text
    assert 'iddm_requests_total{route="/v1/images",status="200"}' in text
    assert 'iddm_jobs{state="running"} 0' in text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(float(line.rsplit(" ", 1)[1]) >= 0 for line in samples)
    buckets = [float(x.rsplit(" ", 1)[1]) for x in samples if "request_seconds_bucket" in x]
    assert buckets


def test_health_and_ready(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}


def test_a_model_of_deep_values_gives_them_as_arrays_and_images_to_look_at():
    values = ValueRange("uint16", (300.0,), (3300.0,))
    with serving(replace(make_model(), values=values)) as server, server.client() as client:
        assert client.get("/v1/models").json()["data"][0]["values"] == values.to_json()
        (array,) = image_files(generate(client, format="npy"))
        (image,) = image_files(generate(client))
    found = np.load(io.BytesIO(array))
    assert (found.dtype, found.shape) == (np.uint16, (8, 16, 3))
    assert 300 <= found.min() < found.max() <= 3300
    shown = np.asarray(Image.open(io.BytesIO(image)))
    assert shown.dtype == np.uint8
    assert np.abs(shown - (found - 300.0) / 3000 * 255).max() <= 0.6
