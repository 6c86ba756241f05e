"""Thousands of valid and invalid requests made from the OpenAPI document: none ends in a 500.

IDDM_TEST_FUZZ sets the number of requests for each of ten operations, valid ones and as many
slightly invalid ones; the long form, some 11,000 in all, is 1,000.
"""

import os

import hypothesis
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from tests.serving.conftest import make_model, make_upscaler, one_thread, serving  # noqa: F401 (a fixture)

EXAMPLES = int(os.environ.get("IDDM_TEST_FUZZ", "15"))
MB = 2**20


def count_requests(server) -> int:
    lines = server.service.metrics.render({}).splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("iddm_requests_total"))


@pytest.fixture(scope="module")
def fuzzed_server():
    models = [make_model(steps=1), make_model("plain", classes=(), steps=1)]
    models.append(make_upscaler(steps=1))
    with serving(*models, max_steps=2, max_count=4) as server:
        memory = psutil.Process().memory_info().rss
        yield server
        with server.client() as client:
            assert client.get("/health").status_code == 200, "it still responds"
            assert client.post("/v1/images", json={"class": 0}).status_code == 200
        print(count_requests(server), "requests")
        assert server.reports == [], "nothing failed inside"
        assert server.service.scheduler.count_jobs() == {"running": 0, "waiting": 0}
        assert psutil.Process().memory_info().rss - memory < 200 * MB


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_request_ends_in_a_500(fuzzed_server, mode):
    schema = schemathesis.openapi.from_url(f"{fuzzed_server.url}/v1/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 10
    for operation in operations:

        @hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=HealthCheck
        )
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def send(case):
            case.call_and_validate(checks=[not_a_server_error])

        try:
            send()
        except hypothesis.errors.Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "a request without a field cannot be invalid"
