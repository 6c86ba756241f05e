"""Unpacking: a compressed tar is copied once, to a plain tar in the cache."""

import bz2
import gzip
import lzma
import shutil
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

RESERVE_BYTES = 2**30
BLOCK_BYTES = 2**22
LEFT_SECONDS = 3600
"""A copy in the making that was not written to for so long was cut off."""


def _openers() -> dict[bytes, Callable[[Path], IO[bytes]]]:
    """Return what opens a compressed file, by its first bytes."""
    return {
        b"\x1f\x8b": lambda path: cast(IO[bytes], gzip.open(path)),
        b"BZh": lambda path: cast(IO[bytes], bz2.open(path)),
        b"\xfd7zXZ": lambda path: cast(IO[bytes], lzma.open(path)),
    }


def as_plain_tar(path: Path) -> Path:
    """Return the tar itself, or the copy of it in the cache that is not compressed."""
    with path.open("rb") as handle:
        start = handle.read(6)
    known = _openers().items()
    opener = next((opener for magic, opener in known if start.startswith(magic)), None)
    if opener is None:
        return path
    content = digest_files(path, [""], no_progress)
    copy = cache_folder() / "archives" / f"{content}.tar"
    if copy.exists():
        mark_used(copy)
        return copy
    with opener(path) as packed:
        _unpack(packed, copy)
    return copy


def _unpack(packed: IO[bytes], copy: Path) -> None:
    """Write a decompressed copy, while the disk has room."""
    temporary = durable.partial_path(copy)
    with _writing(copy.parent):
        copy.parent.mkdir(parents=True, exist_ok=True)
        _sweep(copy.parent)
        handle = temporary.open("wb")
    try:
        with handle:
            while block := packed.read(BLOCK_BYTES):
                _check_room(copy.parent)
                with _writing(copy.parent):
                    handle.write(block)
            with _writing(copy.parent):
                durable.fsync_file(handle)
        with _writing(copy.parent):
            temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell apart what fails in the cache from what fails in the archive."""
    try:
        yield
    except OSError as error:
        raise cache_error(error, folder) from error


def _sweep(folder: Path) -> None:
    """Remove the copies that were cut off."""
    for leftover in folder.glob(f"{durable.PARTIAL_PREFIX}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFT_SECONDS:
                leftover.unlink()


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < RESERVE_BYTES:
        raise DatasetError(
            f"Unpacking the archive fills the disk of {folder}: {free / 1e9:.2f} GB are left.",
            f"{CACHE_HINT} Or unpack it yourself, and give the folder.",
        )
