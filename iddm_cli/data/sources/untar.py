"""Decompress a compressed tar once, to a plain tar in the cache."""

import bz2
import gzip
import lzma
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from iddm_cli import durable
from iddm_cli.data.cache import CACHE_HINT, cache_error, cache_folder, mark_used
from iddm_cli.data.progress import no_progress
from iddm_cli.data.sources.fingerprint import digest_files
from iddm_cli.errors import DatasetError
from iddm_cli.storage.space import free_bytes

RESERVE_BYTES = 2**30
BLOCK_BYTES = 2**22
STALE_SECONDS = 3600
"""A partial copy that was not written to for this long was interrupted."""


def _decompressors() -> dict[bytes, Callable[[Path], IO[bytes]]]:
    """Return the functions that open compressed files, by the signature of the format."""
    return {
        b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path)),
        b"BZh": lambda path: cast(IO[bytes], bz2.open(path)),
        b"\xfd7zXZ": lambda path: cast(IO[bytes], lzma.open(path)),
    }


def is_compressed(path: Path) -> bool:
    """Return whether a tar is compressed, by its first bytes."""
    return _find_opener(path) is not None


def _find_opener(path: Path) -> Callable[[Path], IO[bytes]] | None:
    with path.open("rb") as handle:
        start = handle.read(6)
    known = _decompressors().items()
    return next((opener for magic, opener in known if start.startswith(magic)), None)


def as_plain_tar(path: Path) -> Path:
    """Return the path of the tar itself, or of its decompressed copy in the cache."""
    opener = _find_opener(path)
    if opener is None:
        return path
    content = digest_files(path, [""], no_progress)
    copy = cache_folder() / "archives" / f"{content}.tar"
    if copy.exists():
        mark_used(copy)
        return copy
    with opener(path) as source:
        _decompress(source, copy)
    return copy


def _decompress(source: IO[bytes], copy: Path) -> None:
    """Write a decompressed copy; stop before the disk is full."""
    temporary = durable.partial_path(copy)
    with _report_cache_errors(copy.parent):
        copy.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_copies(copy.parent)
        handle = temporary.open("wb")
    try:
        with handle:
            while block := source.read(BLOCK_BYTES):
                _check_free_space(copy.parent)
                with _report_cache_errors(copy.parent):
                    handle.write(block)
            with _report_cache_errors(copy.parent):
                durable.fsync_file(handle)
        with _report_cache_errors(copy.parent):
            durable.publish_file(temporary, copy)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _report_cache_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into a DatasetError about the cache, not about the archive."""
    try:
        yield
    except OSError as error:
        raise cache_error(error, folder) from error


def _remove_stale_copies(folder: Path) -> None:
    """Remove partial copies that were interrupted."""
    for leftover in folder.glob(f"{durable.PARTIAL_PREFIX}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                leftover.unlink()


def _check_free_space(folder: Path) -> None:
    free = free_bytes(folder)
    if free is not None and free < RESERVE_BYTES:
        raise DatasetError(
            f"decompressing the archive would fill the disk: {free / 1e9:.2f} GB free in {folder}",
            f"{CACHE_HINT} Or unpack it yourself, and set data.path to the folder.",
        )
