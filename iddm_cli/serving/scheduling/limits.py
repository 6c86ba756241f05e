"""Limits on requests, connections and time, each with the reason for its default."""

from dataclasses import dataclass

MAX_REQUEST_VALUES = 2**26
"""Pixel values per request: 64 MiB of uint8, which are held until the response is sent."""


@dataclass(frozen=True)
class Limits:
    """What the server accepts; it rejects a request or closes a connection beyond that.

    Attributes:
        max_batch: Images per solver step; also the number of requests that share a model.
        max_queue: Requests that may wait beyond those; the next one is answered 429.
        max_count: Images per request.
        max_steps: Network calls for an image; the default is every time of an ordinary schedule.
        max_body: Bytes of a request body; the longest legitimate one has a few hundred.
        max_head: Bytes of a request line plus headers.
        request_seconds: Time from a request's arrival to its response.
        read_seconds: Time in which a request must arrive completely, however slowly it is sent.
        stall_seconds: Time for which a client may read nothing of its response.
        max_connections: Open connections.
        max_connections_per_client: Open connections from one address; fewer than
            `max_connections`, so that a single client cannot occupy them all.
        grace_seconds: Time that running requests have to finish when the server stops.
    """

    max_batch: int = 32
    max_queue: int = 64
    max_count: int = 64
    max_steps: int = 1000
    max_body: int = 16 * 1024
    max_head: int = 16 * 1024
    request_seconds: float = 600.0
    read_seconds: float = 10.0
    stall_seconds: float = 30.0
    max_connections: int = 640
    max_connections_per_client: int = 512
    grace_seconds: float = 20.0

    def max_images(self, values: int) -> int:
        """Return the largest number of images per request, given `values` per image."""
        return max(1, min(self.max_count, MAX_REQUEST_VALUES // values))
