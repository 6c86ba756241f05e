"""Listening: the open port, which needs neither torch nor a server to find that it is taken."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Open the address on which the server listens; port 0 is any that is free.

    Raises:
        OSError: It is taken, or not this machine's.
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
