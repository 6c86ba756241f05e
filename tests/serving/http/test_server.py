"""Stopping: running requests have a grace time, then they are cancelled with an error."""

import json
from concurrent.futures import ThreadPoolExecutor

from tests.serving.conftest import serving, slowed


def test_stopping_cancels_what_does_not_finish_in_time(model):
    """Two jobs run and one waits; each client gets an answer."""
    with (
        serving(slowed(model, 0.05), grace_seconds=1, max_batch=2) as own,
        ThreadPoolExecutor(3) as pool,
    ):

        def send(response: str) -> tuple[int, str]:
            with own.client() as client:
                query = {"class": 0, "steps": 1000, "response": response}
                answer = client.post("/v1/images", json=query)
                return answer.status_code, answer.text

        futures = [pool.submit(send, response) for response in ("base64", "stream", "stream")]
        scheduler = own.service.scheduler
        own.wait_until(lambda: scheduler.count_jobs() == {"running": 2, "waiting": 1})
        own.server.should_exit = True
        plain, *streamed = [future.result(10) for future in futures]
    assert plain[0] == 409
    assert json.loads(plain[1])["error"]["code"] == "cancelled"
    for status, text in streamed:
        assert status == 200
        assert text.rstrip().splitlines()[-2] == "event: error"
