"""The protocol: HTTP/1.1 by uvicorn and h11, with a clock for those who take their time.

uvicorn waits for ever for a request that never ends, and for a reader who never reads. A
connection that has not brought a whole request in time is cut, one byte a second or not; so is
one whose reader takes nothing any more, and one more from an address that has enough of them.
"""

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from iddm_cli.serving.scheduling.limits import Limits


class TimedProtocol(H11Protocol):
    """A connection with deadlines.

    Args:
        limits: How long it may take, and how many there may be.
        clients: Open connections by address, shared by all connections.
        options: What uvicorn gives every connection.
    """

    def __init__(self, *, limits: Limits, clients: Counter[str], **options: Any) -> None:
        super().__init__(**options)
        self.limits = limits
        self.clients = clients
        self.reading: asyncio.TimerHandle | None = None
        self.stalled: asyncio.TimerHandle | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start the clock of its first request."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.clients[self.address] += 1
        if self.clients[self.address] > self.limits.per_client:
            transport.abort()
        self._time_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.clients[self.address] -= 1
        if not self.clients[self.address]:
            del self.clients[self.address]
        for clock in (self.reading, self.stalled):
            if clock:
                clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what has come; the clock runs from a request's first byte to its last."""
        super().data_received(data)
        self._time_reading()

    def on_response_complete(self) -> None:
        """Go on to a request that has come already, the clock with it."""
        super().on_response_complete()
        self._time_reading()

    def pause_writing(self) -> None:
        """Start the clock of a reader who takes nothing."""
        super().pause_writing()
        self._time_reader()

    def resume_writing(self) -> None:
        """Stop that clock."""
        super().resume_writing()
        if self.stalled:
            self.stalled.cancel()

    def _time_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self.stalled = self.loop.call_later(self.limits.stalled, self._cut_if_nothing_taken, left)

    def _cut_if_nothing_taken(self, before: int) -> None:
        """Cut a reader who has left all there was; give one who is only slow the same time again.

        Nothing is added meanwhile: whoever writes waits for the end of the pause.
        """
        if self.transport.get_write_buffer_size() < before:
            self._time_reader()
        else:
            self.transport.abort()

    def _time_reading(self) -> None:
        """Let the clock run while a request is incomplete, and only then."""
        if self._is_incomplete():
            if self.reading is None:
                self.reading = self.loop.call_later(self.limits.reading, self.transport.abort)
        elif self.reading:
            self.reading.cancel()
            self.reading = None

    def _is_incomplete(self) -> bool:
        if self.conn.their_state is h11.IDLE:
            first = self.cycle is None  # between requests uvicorn has a clock of its own
            return first or bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY
