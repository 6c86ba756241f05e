"""A client that disconnects frees its slot."""

import pytest

from tests.serving.conftest import serving, slowed

from .calls import generate


@pytest.mark.parametrize("response", ["base64", "stream"])
def test_a_client_that_disconnects_frees_its_slot(model, response):
    with serving(slowed(model, 0.02), max_batch=1, max_queue=0) as own:
        with own.client() as leaving, pytest.raises(Exception, match="timed out"):
            query = {"class": 0, "steps": 1000, "response": response}
            with leaving.stream("POST", "/v1/images", json=query, timeout=0.3) as streamed:
                for _ in streamed.iter_lines():
                    assert own.service.scheduler.count_jobs()["running"] == 1
                    raise TimeoutError("timed out")
        scheduler = own.service.scheduler
        own.wait_until(lambda: scheduler.count_jobs() == {"running": 0, "waiting": 0}, 5)
        with own.client() as next_client:
            assert generate(next_client, steps=1).status_code == 200
