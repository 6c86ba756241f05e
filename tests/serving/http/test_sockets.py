"""The listening socket."""

import socket

import pytest

from iddm_cli.serving.http.sockets import open_listener


def test_port_0_chooses_a_free_port_and_a_used_one_is_refused():
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
        with pytest.raises(OSError, match="in use"):
            open_listener("127.0.0.1", port)
