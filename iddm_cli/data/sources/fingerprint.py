"""Fingerprints: digests of the contents of files, by which a pack is found again.

Reading every byte at each start would take too long. So the digest of a file is cached, and reused
while its size, times and inode stay the same, as in the index of git.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from stat import S_ISREG

from iddm_cli import durable
from iddm_cli.data.cache import cache_folder
from iddm_cli.data.progress import ProgressCallback
from iddm_cli.machine.system_limits import count_startable_threads

THREADS = 8  # reading and hashing both release the global interpreter lock
BLOCK = 1024
SETTLED_SECONDS = 2.0
"""Digests of younger files are not cached: a file may change twice within one tick of its clock."""

_DIGEST = re.compile(r"[0-9a-f]{32}")


def digest_files(
    root: Path,
    paths: Sequence[str],
    progress: ProgressCallback,
    *,
    part: str = "",
    max_bytes: int | None = None,
) -> str:
    """Return the SHA-256, in hexadecimal digits, of the names and contents of files.

    Args:
        root: The folder that the paths are relative to, or a single file.
        paths: The files, in a reproducible order; [""] for the root itself.
        progress: Called with the number of files done, and of all files.
        part: The part of the dataset that they are; the digests of each part are cached apart.
        max_bytes: Larger files are not read, because no decoder accepts them.
    """
    cache_file = _cache_path(root / part)
    known = _load_digests(cache_file)
    reusable: dict[str, str] = {}
    total = hashlib.sha256()
    count = count_startable_threads(THREADS)
    with ThreadPoolExecutor(count) if count else nullcontext() as pool:
        run = pool.map if pool else map
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            entries = run(lambda path: _digest_file(root / path, known.get(path), max_bytes), block)
            for path, (entry, stable) in zip(block, entries, strict=True):
                total.update(os.fsencode(path) + b"\0" + entry.rsplit(" ", 1)[-1].encode() + b"\0")
                if stable:
                    reusable[path] = entry
            progress("checking files", start + len(block), len(paths))
    if reusable != known:
        _save_digests(cache_file, reusable)
    return total.hexdigest()


def digest_labels(
    content: str, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> str:
    """Return the SHA-256 of a digest of the content together with each file's class."""
    digest = hashlib.sha256(content.encode())
    for path, label in zip(paths, labels, strict=True):
        digest.update(b"%b\0%d\0" % (os.fsencode(path), label))
    digest.update("\0".join(classes).encode())
    return digest.hexdigest()


def _digest_file(path: Path, known: str | None, max_bytes: int | None) -> tuple[str, bool]:
    """Return "status digest" of a file, and whether it may be reused next time."""
    try:
        status = path.stat()
    except OSError:
        return "missing", False
    if not S_ISREG(status.st_mode):
        return "not-a-file", False
    if max_bytes is not None and status.st_size > max_bytes:
        return "too-large", False
    times = f"{status.st_mtime_ns}-{status.st_ctime_ns}"
    stamp = f"{status.st_size}-{times}-{status.st_ino}-{status.st_dev}"
    if known and known.startswith(f"{stamp} ") and _DIGEST.fullmatch(known, len(stamp) + 1):
        return known, True
    age = time.time() - max(status.st_mtime, status.st_ctime)
    try:
        return f"{stamp} {_digest_content(path)}", age > SETTLED_SECONDS
    except OSError:
        return "unreadable", False


def _digest_content(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _cache_path(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return cache_folder() / "digests" / f"{name}.json"


def _load_digests(cache_file: Path) -> dict[str, str]:
    try:
        known = json.loads(cache_file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    valid = isinstance(known, dict) and all(isinstance(entry, str) for entry in known.values())
    return known if valid else {}


def _save_digests(cache_file: Path, reusable: dict[str, str]) -> None:
    """Save the digests; if that fails, they are computed again next time."""
    with suppress(OSError):
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(cache_file, json.dumps(reusable).encode())
