"""Sockets: the listening socket, opened before torch and the server are imported."""

import socket


def open_listener(host: str, port: int) -> socket.socket:
    """Open the socket on which the server listens; port 0 chooses a free one.

    Raises:
        OSError: The address is in use, or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener
