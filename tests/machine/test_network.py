import socket

import pytest

from iddm_cli.machine.network import limit_silence


def test_a_silent_connection_ends_and_the_limit_before_is_restored():
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:
        with (
            limit_silence(0.05),
            socket.create_connection(server.getsockname()) as client,
            pytest.raises(TimeoutError),
        ):
            client.recv(1)
        assert socket.getdefaulttimeout() == before


def test_the_limit_before_is_restored_after_an_error():
    before = socket.getdefaulttimeout()
    with pytest.raises(ValueError, match="a defect"), limit_silence(1):
        raise ValueError("a defect")
    assert socket.getdefaulttimeout() == before
