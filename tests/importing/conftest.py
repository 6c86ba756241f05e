import pytest

from tests.importing.diffusers_folders import network
from tests.threads import one_thread  # noqa: F401


@pytest.fixture
def folder(tmp_path):
    """A network's folder alone."""
    network().save_pretrained(tmp_path / "net")
    return tmp_path / "net"
