"""HTTP/1.1 by uvicorn and h11, with timeouts for slow clients.

uvicorn waits forever for a request that never ends, and for a client that never reads its
response. Here a connection is closed if it has not delivered a whole request in time, even at one
byte a second; if its client stops reading; or if its address has too many connections.
"""

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from iddm_cli.serving.scheduling.limits import Limits


class TimedProtocol(H11Protocol):
    """A connection with timeouts.

    Args:
        limits: The timeouts, and the number of connections per address.
        clients: Open connections by address, shared by all connections.
        options: Options that uvicorn passes to every connection.
    """

    def __init__(self, *, limits: Limits, clients: Counter[str], **options: Any) -> None:
        super().__init__(**options)
        self.limits = limits
        self.clients = clients
        self.read_timer: asyncio.TimerHandle | None = None
        self.stall_timer: asyncio.TimerHandle | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start the timer of its first request."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.clients[self.address] += 1
        if self.clients[self.address] > self.limits.max_connections_per_client:
            transport.abort()
        self._update_read_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self.clients[self.address] -= 1
        if not self.clients[self.address]:
            del self.clients[self.address]
        for timer in (self.read_timer, self.stall_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data; the read timer runs from a request's first byte to its last."""
        super().data_received(data)
        self._update_read_timer()

    def on_response_complete(self) -> None:
        """Continue with a request that has arrived meanwhile, and time it."""
        super().on_response_complete()
        self._update_read_timer()

    def pause_writing(self) -> None:
        """Start the timer of a client that does not read its response."""
        super().pause_writing()
        self._start_stall_timer()

    def resume_writing(self) -> None:
        """Stop that timer."""
        super().resume_writing()
        if self.stall_timer:
            self.stall_timer.cancel()

    def _start_stall_timer(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self.stall_timer = self.loop.call_later(
            self.limits.stall_seconds, self._abort_if_stalled, unread
        )

    def _abort_if_stalled(self, unread_before: int) -> None:
        """Close the connection if nothing was read; restart the timer for a slow client.

        Nothing is added to the buffer meanwhile: the writer waits for the end of the pause.
        """
        if self.transport.get_write_buffer_size() < unread_before:
            self._start_stall_timer()
        else:
            self.transport.abort()

    def _update_read_timer(self) -> None:
        """Run the read timer while a request is incomplete, and only then."""
        if self._is_incomplete():
            if self.read_timer is None:
                timeout = self.limits.read_seconds
                self.read_timer = self.loop.call_later(timeout, self.transport.abort)
        elif self.read_timer:
            self.read_timer.cancel()
            self.read_timer = None

    def _is_incomplete(self) -> bool:
        if self.conn.their_state is h11.IDLE:
            is_first = self.cycle is None  # between requests uvicorn has a timer of its own
            return is_first or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY
