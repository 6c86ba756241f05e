"""Every failure has its status and a sentence, and reveals nothing of the inside."""

import dataclasses
import threading

import pytest

from tests.serving.conftest import serving, slowed

from .calls import generate, image_files


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": "pet"}, 404, "Did you mean pets?"),
        ({"class": "dgo"}, 422, "Did you mean dog?"),
        ({"class": 3}, 422, "no such class"),
        ({"class": None}, 422, "name one"),
        ({"model": "plain"}, 422, "without classes"),
        ({"count": 65}, 422, "at most 64"),
        ({"steps": 1001}, 422, "at most 1000"),
        ({"sampler": "magic"}, 422, "sampler"),
        ({"no_such_field": 1}, 422, "no_such_field"),
    ],
    ids=str,
)
def test_an_invalid_request_is_rejected_with_a_sentence(client, fields, status, message):
    response = generate(client, **fields)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


def test_a_full_queue_says_when_to_try_again(model):
    with serving(slowed(model, 0.02), max_batch=2, max_queue=2) as own:
        responses = []

        def send() -> None:
            with own.client() as client:
                responses.append(generate(client, steps=20))

        threads = [threading.Thread(target=send) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = sorted(response.status_code for response in responses)
        assert codes == [200] * codes.count(200) + [429] * codes.count(429)
        assert codes.count(200) >= 4
        assert codes.count(429) >= 1
        rejected = [response for response in responses if response.status_code == 429]
        assert all(int(response.headers["retry-after"]) >= 1 for response in rejected)
        answered = [response for response in responses if response.status_code == 200]
        assert len({bytes(image_files(response)[0]) for response in answered}) == 1


def test_a_request_that_exceeds_the_time_limit_is_answered_504(model):
    with serving(slowed(model, 0.05), request_seconds=0.3) as own, own.client() as client:
        response = generate(client, steps=1000)
        assert (response.status_code, response.json()["error"]["code"]) == (504, "late")
        assert own.service.scheduler.count_jobs()["running"] == 0


def test_a_failed_step_is_reported_to_the_operator_and_the_server_continues(model):
    class BrokenDenoiser:
        is_invariant, broken = True, True

        def __call__(self, *args):
            if self.broken:
                raise RuntimeError("secret detail")
            return model.batch_denoiser(*args)

    broken = BrokenDenoiser()
    with (
        serving(dataclasses.replace(model, batch_denoiser=broken)) as own,
        own.client() as client,
    ):
        response = generate(client)
        assert response.status_code == 500
        assert "secret" not in response.text
        assert any("secret detail" in text for text in own.reports)
        broken.broken = False
        assert generate(client).status_code == 200
