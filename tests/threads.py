"""One thread for torch, for the folders of tests that compute with it."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tiny networks from spreading over threads that wait for each other."""
    torch.set_num_threads(1)
