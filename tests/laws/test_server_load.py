"""Many clients at once: each gets its own image, and memory does not grow.

IDDM_TEST_LOAD sets the number of requests; 10000 is the long form.
"""

import hashlib
import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.serving.conftest import make_model, one_thread, serving  # noqa: F401 (a fixture)

REQUESTS = int(os.environ.get("IDDM_TEST_LOAD", "400"))
CLIENTS = 200
SEEDS = 12


@pytest.fixture(scope="module")
def busy_server():
    with serving(make_model(steps=2), max_batch=16, max_queue=8) as server:
        yield server


def request_image(port: int, seed: int) -> tuple[int, str | None, bytes]:
    """Request an image; return the status, Retry-After, and a digest of the images."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    query = json.dumps({"class": seed % 3, "seed": seed, "guidance": 1 + seed % 2})
    connection.request("POST", "/v1/images", query, {"Content-Type": "application/json"})
    response = connection.getresponse()
    images = json.dumps(json.loads(response.read()).get("images")).encode()
    connection.close()
    return response.status, response.getheader("Retry-After"), hashlib.sha256(images).digest()


def test_two_hundred_clients_and_a_queue_of_eight(busy_server):
    expected = [request_image(busy_server.port, seed)[2] for seed in range(SEEDS)]

    def send(number: int) -> tuple[int, str | None, bool]:
        status, retry_after, digest = request_image(busy_server.port, number % SEEDS)
        return status, retry_after, digest == expected[number % SEEDS]

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(CLIENTS)))
        memory = psutil.Process().memory_info().rss
        answers = list(pool.map(send, range(REQUESTS)))
        growth = psutil.Process().memory_info().rss - memory
    assert all(right for status, _, right in answers if status == 200), "images are mixed up"
    assert {status for status, _, _ in answers} == {200, 429}
    assert all(int(retry_after) >= 1 for status, retry_after, _ in answers if status == 429)
    assert growth < 0.05 * memory
    scheduler = busy_server.service.scheduler
    busy_server.wait_until(lambda: scheduler.count_jobs() == {"running": 0, "waiting": 0})
