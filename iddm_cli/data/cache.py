"""The cache: the one folder outside a run that is written to; what is in it, and its clearing.

packs/       datasets as arrays, see packstore.py
datasets/    built-in sets as they were downloaded
archives/    compressed tars, unpacked
digests/     what is known of files read before, see fingerprint.py
"""

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from iddm_cli import durable
from iddm_cli.errors import DatasetError

HINT = "Set IDDM_CACHE_DIR to a folder on a disk with room, or free some: iddm cache clear"
DAY_SECONDS = 86_400

Kind = Literal["pack", "begun", "download", "archive"]


def cache_folder() -> Path:
    """Return $IDDM_CACHE_DIR, else the user's cache folder of this system."""
    chosen = os.environ.get("IDDM_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("iddm")


def cache_error(error: OSError, folder: Path) -> DatasetError:
    """Turn a failed write into an error that says how to put the cache elsewhere."""
    reason = error.strerror or str(error)
    return DatasetError(f"The cache folder {folder} cannot be written: {reason}.", HINT)


@dataclass(frozen=True)
class Entry:
    """Something in the cache that takes room."""

    path: Path
    kind: Kind
    bytes: int
    used: float  # seconds since 1970

    @property
    def key(self) -> str:
        """Name it, shortly."""
        return self.path.name.removeprefix(durable.PARTIAL)[:12]

    def age_days(self) -> float:
        """Return the days since it was last used."""
        return (time.time() - self.used) / DAY_SECONDS


def entries() -> list[Entry]:
    """List what is in the cache, the largest first."""
    packs = _children("packs")
    found = [
        *(_entry(path, "begun") for path in packs if _begun(path)),
        *(_entry(path, "pack") for path in packs if path.is_dir() and not _begun(path)),
        *(_entry(path, "download") for path in _children("datasets")),
        *(_entry(path, "archive") for path in _children("archives")),
    ]
    return sorted(found, key=lambda entry: -entry.bytes)


def _begun(path: Path) -> bool:
    return path.name.startswith(durable.PARTIAL)


def _children(name: str) -> list[Path]:
    folder = cache_folder() / name
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _entry(path: Path, kind: Kind) -> Entry:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    facts = [file.lstat() for file in files]
    used = max(max(fact.st_mtime, fact.st_atime) for fact in facts)
    return Entry(path, kind, sum(fact.st_size for fact in facts), used)


def clear(chosen: Iterable[Entry]) -> int:
    """Remove entries, and return the bytes that were freed.

    A training that reads from one goes on: its file stays until it is closed.

    Raises:
        DatasetError: One cannot be removed.
    """
    freed = 0
    for entry in chosen:
        try:
            if entry.path.is_dir():
                aside = entry.path.with_name(f"{durable.PARTIAL}{os.getpid()}-{entry.path.name}")
                entry.path.rename(aside)
                shutil.rmtree(aside)
            else:
                entry.path.unlink()
        except OSError as error:
            raise cache_error(error, entry.path) from error
        freed += entry.bytes
    _forget()
    return freed


def _forget() -> None:
    """Remove what is kept for packs that are gone."""
    for lock in (cache_folder() / "packs").glob("*.lock"):
        name = lock.name.removesuffix(".lock")
        if not any(lock.with_name(kept).exists() for kept in (name, f"{durable.PARTIAL}{name}")):
            lock.unlink(missing_ok=True)
    if not _children("packs"):
        shutil.rmtree(cache_folder() / "digests", ignore_errors=True)
