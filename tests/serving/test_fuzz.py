"""Thousands of requests that the OpenAPI document allows, or just does not: none ends in a 500.

IDDM_TEST_FUZZ sets how many for each operation; the long form, 10,000 in all, is 1,250.
"""

import os

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error

from iddm_cli.serving.limits import Limits
from iddm_cli.serving.security import Policy
from iddm_cli.serving.server import guarded
from iddm_cli.serving.service import Service

from .conftest import make_model

EXAMPLES = int(os.environ.get("IDDM_TEST_FUZZ", "25"))


@pytest.fixture(scope="module")
def schema():
    models = [make_model(steps=1), make_model("plain", classes=(), steps=1)]
    service = Service({m.name: m for m in models}, Limits(steps=3), print)
    app = guarded(service, Policy(frozenset({"localhost"})))
    return schemathesis.openapi.from_asgi("/v1/openapi.json", app, base_url="http://localhost")


fuzzed = schemathesis.pytest.from_fixture("schema")


@fuzzed.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
def test_no_request_ends_in_a_500(case):
    case.call_and_validate(checks=[not_a_server_error])
