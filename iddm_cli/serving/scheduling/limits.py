"""Limits on requests, connections and time, each with the reason for its default."""

from dataclasses import dataclass

MAX_REQUEST_VALUES = 2**26
"""Pixel values per request: 64 MiB of uint8, which are held until the response is sent."""


ALWAYS_UPSCALED = 2**18
"""Pixels of an upscaled image that are accepted whatever a model was trained at: 512 x 512."""


@dataclass(frozen=True)
class Limits:
    """What the server accepts; it rejects a request or closes a connection beyond that.

    Attributes:
        max_batch: Images per solver step; also the number of requests that share a model.
        max_queue: Requests that may wait beyond those; the next one is answered 429.
        max_count: Images per request.
        max_steps: Network calls for an image; the default is every time of an ordinary schedule.
        max_body: Bytes of a request body; the longest legitimate one has a few hundred.
        max_upload: Bytes of a request body that holds an image.
        max_uploads: Bytes of all such bodies that are longer than `max_body`, of requests that are
            not answered yet.
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
    max_upload: int = 8 * 2**20
    max_uploads: int = 64 * 2**20
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

    def max_upscaled_pixels(self, shape: tuple[int, int, int]) -> int:
        """Return the largest number of pixels of an upscaled image.

        A solver step of one image then takes no longer than one of a full batch of images of the
        size trained at, or of 512 x 512 pixels.

        Args:
            shape: Channels, height and width of the images that the model was trained on.
        """
        channels, height, width = shape
        pixels = max(self.max_batch * height * width, ALWAYS_UPSCALED)
        return min(pixels, MAX_REQUEST_VALUES // channels)
