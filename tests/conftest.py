"""Settings of all tests: one thread, and default handling of signals."""

import os
import signal

import pytest

# Tests run in parallel, and processes of several threads each would slow each other down.
# Must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The parent of the tests may ignore these signals (nohup does, and a shell's `&`); children inherit
# that, and iddm respects it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

FIRST = ("test_readme.py", "test_team.py", "test_two_machines.py")
"""Files that take longest: begun last, one would keep a single worker busy at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest; all others keep their order."""
    items.sort(key=lambda item: item.path.name not in FIRST)
