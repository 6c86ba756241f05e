"""Listening: the open port, which needs neither torch nor a server to find that it is taken."""

import contextlib
import socket

FILES = 4096
"""Files that may be open: all connections, those that are turned away, and what a model takes."""


def open_listener(host: str, port: int) -> socket.socket:
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


def raise_file_limit(wanted: int = FILES) -> None:
    """Let the process have so many files open, as far as the system lets it.

    A usual limit is 1024, or 256: fewer than connections, and beyond it asyncio writes a trace
    for each attempt to accept one.
    """
    try:
        import resource
    except ImportError:  # not on Windows, where there is no such limit
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
