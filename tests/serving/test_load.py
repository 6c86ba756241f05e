"""Many clients at once: nobody gets another's picture, and the memory stays as it is.

IDDM_TEST_LOAD sets how many requests there are; 10000 is the long form.
"""

import hashlib
import http.client
import json
import os
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from .conftest import make_model, serving

REQUESTS = int(os.environ.get("IDDM_TEST_LOAD", "400"))
CLIENTS = 200
SEEDS = 12


@pytest.fixture(scope="module")
def crowded():
    with serving(make_model(steps=2), max_batch=16, queue=8) as server:
        yield server


def ask(port: int, seed: int) -> tuple[int, str | None, bytes]:
    """Ask for a picture; return status, Retry-After, and a digest of the pictures."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    asked = json.dumps({"class": seed % 3, "seed": seed, "guidance": 1 + seed % 2})
    connection.request("POST", "/v1/images", asked, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    images = json.dumps(json.loads(answer.read()).get("images")).encode()
    connection.close()
    return answer.status, answer.getheader("Retry-After"), hashlib.sha256(images).digest()


def test_two_hundred_clients_and_a_queue_of_eight(crowded):
    expected = [ask(crowded.port, seed)[2] for seed in range(SEEDS)]

    def go(number: int) -> tuple[int, str | None, bool]:
        status, again, digest = ask(crowded.port, number % SEEDS)
        return status, again, digest == expected[number % SEEDS]

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(go, range(CLIENTS)))
        memory = psutil.Process().memory_info().rss
        answers = list(pool.map(go, range(REQUESTS)))
        grown = psutil.Process().memory_info().rss - memory
    assert all(right for status, _, right in answers if status == 200), "nobody gets another's"
    assert {status for status, _, _ in answers} == {200, 429}
    assert all(int(again) >= 1 for status, again, _ in answers if status == 429)
    assert grown < 0.05 * memory
    crowded.until(lambda: crowded.service.scheduler.count_jobs() == {"running": 0, "waiting": 0})
