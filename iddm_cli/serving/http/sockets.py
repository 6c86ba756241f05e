"""Sockets: the listening socket, opened before torch and the server are imported."""

import contextlib
import socket

OPEN_FILES = 4096
"""Open files needed: all connections, those being rejected, and a model's files."""


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


def raise_file_limit(wanted: int = OPEN_FILES) -> None:
    """Raise the process's limit on open files to `wanted`, as far as the system allows.

    Common limits are 1024 or 256, fewer than the connections allowed; beyond the limit asyncio
    logs a traceback for each connection that it fails to accept.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    current, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    if maximum != resource.RLIM_INFINITY:
        wanted = min(wanted, maximum)
    if current != resource.RLIM_INFINITY and current < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, maximum))
