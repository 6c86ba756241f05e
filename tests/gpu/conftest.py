"""Tests of what only a GPU can show; they skip where there is none."""

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where PyTorch sees no GPU."""
    if not torch.cuda.is_available():
        reason = pytest.mark.skip(reason="needs an NVIDIA GPU")
        for item in items:
            if "/gpu/" in item.path.as_posix():
                item.add_marker(reason)


@pytest.fixture
def no_waiting():
    """Let every operation that makes Python wait for the GPU raise an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")
