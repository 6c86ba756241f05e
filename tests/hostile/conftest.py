"""Shared by tests with hostile input: the number of examples, and what every refusal must be."""

import os

from hypothesis import HealthCheck, settings

from iddm_cli.errors import IddmError
from tests.e2e.conftest import cache, no_server_is_left, shell, trained  # noqa: F401 (fixtures)

EXAMPLES = int(os.environ.get("IDDM_TEST_FUZZ", "300"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def check_refusal(error: IddmError, *, code: int, begins: str = "") -> None:
    """Check the exit code of a refusal, and that it is short and printable."""
    assert error.exit_code == code
    lines = [*error.problem.splitlines(), error.hint]
    assert len(lines) <= 30
    assert all(len(line) < 700 for line in lines)
    assert all(line.isprintable() for line in lines)
    assert error.problem.startswith(begins)
