"""Limits: how much the server takes from anyone, each with the reason of its size."""

from dataclasses import dataclass

MAX_REQUEST_VALUES = 2**26
"""Values of all pictures of one request: 64 MiB of pixels, which are held until it is answered."""


@dataclass(frozen=True)
class Limits:
    """What the server refuses beyond.

    Attributes:
        max_batch: Pictures that take a step together; as many requests share the model.
        queue: Requests that may wait beyond those; one more is answered 429.
        count: Pictures of one request.
        steps: Solver steps: all times of an ordinary schedule.
        body: Bytes of a request's body; the longest honest one has some hundred.
        head: Bytes of a request line and headers.
        seconds: From a request's arrival to its answer.
        reading: Seconds in which a request must have arrived, however slowly it is sent.
        stalled: Seconds for which a reader may take nothing of its answer.
        connections: Open connections.
        per_client: Of them, from one address; less than all, so that one cannot take every place.
        grace: Seconds that running requests have to finish when the server stops.
    """

    max_batch: int = 32
    queue: int = 64
    count: int = 64
    steps: int = 1000
    body: int = 16 * 1024
    head: int = 16 * 1024
    seconds: float = 600.0
    reading: float = 10.0
    stalled: float = 30.0
    connections: int = 640
    per_client: int = 512
    grace: float = 20.0

    def pictures(self, values: int) -> int:
        """Return the most pictures of one request, each of so many values."""
        return max(1, min(self.count, MAX_REQUEST_VALUES // values))
