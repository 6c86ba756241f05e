"""What tests with hostile input share: how many examples are tried, and what a refusal owes."""

import os

from hypothesis import HealthCheck, settings

from iddm_cli.errors import IddmError
from tests.e2e.conftest import cache, no_server_is_left, shell, trained  # noqa: F401 (fixtures)

EXAMPLES = int(os.environ.get("IDDM_TEST_FUZZ", "300"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def check_refusal(error: IddmError, *, code: int, begins: str = "") -> None:
    """Hold a refusal to its promise: the right code, a few lines that can be printed and read."""
    assert error.exit_code == code
    lines = [*error.problem.splitlines(), error.hint]
    assert len(lines) <= 30
    assert all(len(line) < 700 for line in lines)
    assert all(line.isprintable() for line in lines)
    assert error.problem.startswith(begins)
