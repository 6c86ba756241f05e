import pytest
import torch

from tests.importing.diffusers_folders import network


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tiny networks from spreading over threads that wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path):
    """A network's folder alone."""
    network().save_pretrained(tmp_path / "net")
    return tmp_path / "net"
