"""The network as this process uses it: how long a connection may be silent."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit_silence(seconds: float) -> Iterator[None]:
    """Limit how long a connection may be silent; libraries that download may wait for ever.

    Args:
        seconds: Longest silence; it holds for connections that are opened in the block.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
