"""Images in requests: decoded in a process of its own, since they may be hostile.

A file may be damaged so that it crashes or hangs a decoder, or expand beyond all memory: see
`data.decoding.workers`. The event loop waits for none of it.
"""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from iddm_cli.data.decoding.formats.table import SIGNATURE_BYTES, find_format
from iddm_cli.data.decoding.own_size import (
    TOO_LARGE,
    ImageBytes,
    OwnSizeSpec,
    prepare_quietly,
)
from iddm_cli.data.decoding.preprocess import PreparedImage
from iddm_cli.data.decoding.workers import WorkerFailure, WorkerPool
from iddm_cli.errors import IddmError
from iddm_cli.serving.scheduling.scheduler import QueueFullError

SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WebP": "webp", "TIFF": "tiff"}
"""Suffixes of files by the names of the formats that are accepted."""

DECODE_SECONDS = 10.0
"""Time that decoding one image may take."""

MAX_WAITING = 32
"""Images that may wait to be decoded; one takes milliseconds, unless it is hostile."""


class UploadError(Exception):
    """An image that cannot be used.

    Args:
        code: A short identifier.
        message: What is wrong with it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = f"image: {message}."


@dataclass(frozen=True)
class UploadedImage:
    """An image of a request, decoded.

    Attributes:
        prepared: Its pixels, at its own size.
        suffix: Suffix of a file of its format, such as png.
    """

    prepared: PreparedImage
    suffix: str


class UploadReader:
    """Decodes the images of requests, one after the other.

    The process that decodes is started with the first one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "iddm-uploads")
        self._workers: WorkerPool | None = None
        self._waiting = 0

    async def read(self, text: str, spec: OwnSizeSpec, most_pixels: int) -> UploadedImage:
        """Decode an image at its own size.

        Args:
            text: The bytes of its file in base64.
            spec: What its pixels depend on.
            most_pixels: Pixels that it may have, at most.

        Raises:
            UploadError: It cannot be decoded, is too large, or has several frames.
            QueueFullError: Too many others wait to be decoded.
        """
        if self._waiting >= MAX_WAITING:
            raise QueueFullError(1)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        decoding = loop.run_in_executor(self._thread, self._decode, text, spec, most_pixels)
        try:
            return await asyncio.shield(decoding)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the process that decodes; nothing is read afterwards."""
        self._thread.shutdown(cancel_futures=True)
        if self._workers is not None:
            self._workers.close()

    def _decode(self, text: str, spec: OwnSizeSpec, most_pixels: int) -> UploadedImage:
        try:
            content = base64.b64decode(text, validate=True)
        except ValueError as error:
            message = "not base64: send the bytes of a file, without line breaks or a data: prefix"
            raise UploadError("bad_base64", message) from error
        row = find_format(content[:SIGNATURE_BYTES])
        if row is None or row.name not in SUFFIXES:
            names = ", ".join(SUFFIXES)
            raise UploadError("unknown_format", f"not a file of a supported format ({names})")
        prepared = self._prepare(ImageBytes(content, most_pixels), spec)
        # Photos of some cameras hold a preview as a second image.
        if prepared.animated and row.name != "JPEG":
            raise UploadError("animated_image", "it has several frames or pages; send one of them")
        return UploadedImage(prepared, SUFFIXES[row.name])

    def _prepare(self, handle: ImageBytes, spec: OwnSizeSpec) -> PreparedImage:
        if self._workers is None:
            self._workers = WorkerPool(1, timeout=DECODE_SECONDS)
        try:
            work = partial(prepare_quietly, spec)
            (result,) = self._workers.submit(work, [handle]).results()
        except (IddmError, MemoryError) as error:  # or the system killed the process twice
            raise UploadError("unreadable_image", "decoding it needs too much memory") from error
        if isinstance(result, PreparedImage):
            return result
        reason = result.reason if isinstance(result, WorkerFailure) else result
        if reason.startswith(TOO_LARGE):
            raise UploadError("image_too_large", reason)
        raise UploadError("unreadable_image", f"it cannot be decoded: {reason}")
