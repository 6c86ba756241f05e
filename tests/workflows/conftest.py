from pathlib import Path

import pytest

from tests.threads import one_thread  # noqa: F401

from .trained_models import write_file, write_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of the run `pets`."""
    return write_run(tmp_path / "runs")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An exported file, `steel.safetensors`."""
    return write_file(tmp_path)
