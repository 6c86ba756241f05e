"""The listening socket, and the limit on open files."""

import socket

import pytest

from iddm_cli.serving.http.sockets import open_listener, raise_file_limit


def test_port_0_chooses_a_free_port_and_a_used_one_is_refused():
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        with pytest.raises(OSError, match="in use"):
            open_listener("127.0.0.1", port)


def test_the_file_limit_is_raised_and_never_lowered():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_file_limit(700)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (700, before[1])
        raise_file_limit(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
