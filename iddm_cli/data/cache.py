"""The cache: the one folder outside a run that is written to; what is in it, and its clearing.

packs/       datasets as arrays, see packstore.py
datasets/    built-in sets as they were downloaded
archives/    compressed tars, unpacked
digests/     what is known of files read before, see fingerprint.py
"""

import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
from filelock import FileLock, Timeout

from iddm_cli import durable
from iddm_cli.errors import DatasetError

CACHE_HINT = "Set IDDM_CACHE_DIR to a folder on a disk with room, or free some: iddm cache clear"
DAY_SECONDS = 86_400
WRITTEN_SECONDS = 60
"""A download or archive in the making is written to more often than this."""

_READ_TO_LIST = ("pack.json", "labels.i32")  # see packstore.read: reading these is no use

Kind = Literal["pack", "begun", "download", "archive"]


def cache_folder() -> Path:
    """Return $IDDM_CACHE_DIR, else the user's cache folder of this system."""
    chosen = os.environ.get("IDDM_CACHE_DIR")
    if not chosen:
        return platformdirs.user_cache_path("iddm")
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:  # of a user that there is not
        raise DatasetError(f"IDDM_CACHE_DIR is {chosen}: {error}", CACHE_HINT) from error


def cache_error(error: OSError, folder: Path) -> DatasetError:
    """Turn a failed write into an error that says how to put the cache elsewhere."""
    reason = error.strerror or str(error)
    return DatasetError(f"The cache folder {folder} cannot be written: {reason}.", CACHE_HINT)


@dataclass(frozen=True)
class CacheEntry:
    """Something in the cache that takes room."""

    path: Path
    kind: Kind
    bytes: int
    used: float  # seconds since 1970

    @property
    def key(self) -> str:
        """Name it: by the front of a digest, or by the whole name of a download."""
        name = self.path.name.removeprefix(durable.PARTIAL_PREFIX)
        return name if self.kind == "download" else name[:12]

    def age_days(self) -> float:
        """Return the days since it was last used."""
        return (time.time() - self.used) / DAY_SECONDS


def mark_used(path: Path) -> None:
    """Note that something in the cache is used now; not every disk notes what is read."""
    with suppress(OSError):
        os.utime(path)


def list_entries() -> list[CacheEntry]:
    """List what is in the cache, the largest first.

    Raises:
        DatasetError: It cannot be read.
    """
    packs = [path for path in _children("packs") if path.is_dir() or _begun(path)]
    found = [
        *(_entry(path, "begun" if _begun(path) else "pack") for path in packs),
        *(_entry(path, "download") for path in _children("datasets")),
        *(_entry(p, "begun" if _begun(p) else "archive") for p in _children("archives")),
    ]
    return sorted(filter(None, found), key=lambda entry: -entry.bytes)


def _begun(path: Path) -> bool:
    return path.name.startswith(durable.PARTIAL_PREFIX)


def _children(name: str) -> list[Path]:
    folder = cache_folder() / name
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise DatasetError(
            f"The cache {folder} cannot be read: {error.strerror}.", CACHE_HINT
        ) from error


def _entry(path: Path, kind: Kind) -> CacheEntry | None:
    """Return what is there, if it still is: another process may remove it meanwhile."""
    linked = path.is_symlink()
    files = [path, *path.rglob("*")] if path.is_dir() and not linked else [path]
    known = [(file.name, facts) for file in files if (facts := _facts(file))]
    used = [
        max(facts.st_mtime, facts.st_atime if _is_evidence(name, facts) else 0)
        for name, facts in known
    ]
    return CacheEntry(path, kind, sum(f.st_size for _, f in known), max(used)) if known else None


def _facts(file: Path) -> os.stat_result | None:
    try:
        return file.lstat()
    except OSError:
        return None


def _is_evidence(name: str, facts: os.stat_result) -> bool:
    """Say whether the time of the last reading is that of a use, and not of a listing."""
    return stat.S_ISREG(facts.st_mode) and name not in _READ_TO_LIST


def remove_entries(chosen: Iterable[CacheEntry]) -> list[CacheEntry]:
    """Remove entries, and return those that are gone; what is being made just now stays.

    A training that reads from a pack goes on: its file stays until it is closed.

    Raises:
        DatasetError: One cannot be removed.
    """
    gone = [entry for entry in chosen if _remove(entry)]
    _forget()
    return gone


def _remove(entry: CacheEntry) -> bool:
    """Remove one entry, unless it is being made."""
    written = entry.path.parent.name != "packs" and time.time() - entry.used < WRITTEN_SECONDS
    if entry.kind == "begun" and written:
        return False
    try:
        with _unlocked(_lock_of(entry.path)) as free:
            if free:
                _delete(entry.path)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise cache_error(error, entry.path) from error
    return free


def _delete(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    aside = path.with_name(f"{durable.PARTIAL_PREFIX}{os.getpid()}-{path.name}")
    path.rename(aside)
    shutil.rmtree(aside)


def _lock_of(path: Path) -> Path:
    """Return the lock of a pack, see packing.py; nothing else has one."""
    return path.with_name(f"{path.name.removeprefix(durable.PARTIAL_PREFIX)}.lock")


@contextmanager
def _unlocked(path: Path) -> Iterator[bool]:
    """Hold a lock, if there is one; say whether no other process does."""
    if not path.exists():
        yield True
        return
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _forget() -> None:
    """Remove what is kept for packs that are gone."""
    for path in (cache_folder() / "packs").glob("*.lock"):
        name = path.name.removesuffix(".lock")
        with suppress(OSError), _unlocked(path) as free:
            kept = (
                path.with_name(f"{prefix}{name}").exists()
                for prefix in ("", durable.PARTIAL_PREFIX)
            )
            if free and not any(kept):
                path.unlink()
    if not _children("packs"):
        shutil.rmtree(cache_folder() / "digests", ignore_errors=True)
