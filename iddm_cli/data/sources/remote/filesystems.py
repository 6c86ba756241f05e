"""Remote file systems: opened through fsspec, with limits on how long they may be silent."""

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.extras import require_extra

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

VERSION_KEYS = (
    *("ETag", "etag", "e_tag", "sha256", "md5Hash", "checksum", "generation", "blob_id"),
    *("Last-Modified", "LastModified", "last_modified", "mtime", "updated", "created"),
)
"""What file systems call that which changes with the content of a file."""

ERROR_TYPES = {
    "aiohttp": ("ClientError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "gcsfs.retry": ("HttpError",),
    "httpx": ("HTTPError",),
    "requests.exceptions": ("RequestException",),
    "urllib3.exceptions": ("HTTPError",),
}
"""Errors of the libraries below fsspec, by the modules that define them."""

TEMPORARY_STATUS = (408, 425, 429, 500, 502, 503, 504)
STRANGE_STATUS = 400
"""From this status on, a server refuses; all but the temporary ones are final."""


@dataclass(frozen=True)
class RemoteFacts:
    """What a server says of a file.

    Attributes:
        size: Its bytes; None where the server does not say.
        version: What changes with its content, such as its ETag; "" where there is nothing.
    """

    size: int | None
    version: str

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> "RemoteFacts":
        """Return the facts in what fsspec calls the info of a file."""
        found = (info.get(key) for key in VERSION_KEYS)
        return cls(info.get("size"), str(next(filter(None, found), "")))


@dataclass(frozen=True)
class RemotePlace:
    """A file system and a path in it.

    Attributes:
        files: The file system.
        path: The path.
        protocol: How its URLs begin, such as s3.
    """

    files: "AbstractFileSystem"
    path: str
    protocol: str

    @property
    def is_web(self) -> bool:
        """Whether it is a server of the web, which may not know ranges."""
        return self.protocol in ("http", "https")

    def open_at(self, path: str, start: int, version: str) -> tuple[IO[bytes], int]:
        """Open a file for reading; return it, and the byte that it begins at: `start` or 0.

        Args:
            path: The file.
            start: The first byte that is wanted.
            version: The version that the bytes before it belong to.
        """
        if not self.is_web:
            handle = self.files.open(path, "rb", cache_type="readahead")
            handle.seek(start)
            return handle, start
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if version.startswith('"'):  # a strong ETag: another version is sent as a whole
                headers["If-Range"] = version
        # A size spares a request, and a block size of 0 asks for a stream.
        handle = self.files.open(path, "rb", block_size=0, size=1, headers=headers)
        return handle, start if handle.r.status == 206 else 0


def open_place(url: str, silence: float) -> RemotePlace:
    """Return the file system of a URL and the path in it.

    Args:
        url: The URL.
        silence: Seconds after which a silent connection is given up.

    Raises:
        UsageError: A package is missing.
        DatasetError: The protocol is unknown.
    """
    require_extra("remote", ["fsspec"], needed_by="a dataset at a remote place")
    core: Any = importlib.import_module("fsspec.core")
    protocol = url.partition("://")[0]
    if protocol in ("http", "https"):
        require_extra("remote", ["aiohttp"], needed_by=f"a dataset at {protocol}://")
    options = SILENCE_OPTIONS.get(protocol, _limit_nothing)(silence)
    try:
        files, path = core.url_to_fs(
            url, skip_instance_cache=True, use_listings_cache=False, **options
        )
    except ImportError as error:
        raise UsageError(
            f"a dataset at {protocol}:// needs a package that is not installed: {error}",
            "Install it with: pip install 'iddm-cli[remote]'",
        ) from error
    except ValueError as error:
        raise DatasetError(f"{url}: {error}", "Check data.path.") from error
    return RemotePlace(files, path, protocol)


def _limit_web(silence: float) -> dict[str, Any]:
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=silence, sock_read=silence)
    return {"client_kwargs": {"timeout": timeout}}


def _limit_nothing(_silence: float) -> dict[str, Any]:
    return {}


def _limit_s3(silence: float) -> dict[str, Any]:
    return {"config_kwargs": {"connect_timeout": silence, "read_timeout": silence}}


SILENCE_OPTIONS: Mapping[str, Callable[[float], dict[str, Any]]] = {
    "http": _limit_web,
    "https": _limit_web,
    "s3": _limit_s3,
    "s3a": _limit_s3,
    "gs": lambda silence: {"timeout": silence},
    "gcs": lambda silence: {"timeout": silence},
}
"""The options of a file system that limit how long a connection may be silent."""


def list_error_types() -> tuple[type[Exception], ...]:
    """Return the errors that reading from a remote place may raise."""
    found: list[type[Exception]] = [OSError, EOFError]
    for module, names in ERROR_TYPES.items():
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    return tuple(found)


def is_final(error: BaseException) -> bool:
    """Return whether trying again is pointless: the file does not exist, or access is denied."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause is not None:
        # fsspec reports every failure of a web server as a missing file, with its cause.
        return is_final(cause)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return True
    status = find_status(error)
    return status is not None and status >= STRANGE_STATUS and status not in TEMPORARY_STATUS


def find_status(error: BaseException) -> int | None:
    """Return the HTTP status in an error of any library; None if there is none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status", None) or getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def describe_failure(error: BaseException) -> str:
    """Return a short phrase for an error of a remote place."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause is not None:
        return describe_failure(cause)
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if status := find_status(error):
        return f"the server answers {status} {getattr(error, 'message', '')}".strip()
    if isinstance(error, TimeoutError):
        return "the server is silent"
    return " ".join(str(error).split())[:200] or type(error).__name__
