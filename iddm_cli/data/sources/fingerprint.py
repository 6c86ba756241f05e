"""Fingerprints: digests of what files hold, so that a pack is found again by content.

Reading every byte at each start would take long; so the digest of a file is kept in the cache and
used again while its size, times and number on the disk stay the same, as git's index does.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from iddm_cli import durable
from iddm_cli.data.cache import cache_folder
from iddm_cli.data.progress import ProgressCallback

THREADS = 8  # they wait for the disk, or hash, which frees the interpreter
BLOCK = 1024
SETTLED_SECONDS = 2.0
"""A file may change again within one tick of its clock: digests of younger ones are not kept."""

_DIGEST = re.compile(r"[0-9a-f]{32}")


def digest_files(
    root: Path, paths: Sequence[str], progress: ProgressCallback, *, max_bytes: int | None = None
) -> str:
    """Digest the names and contents of files.

    Args:
        root: Folder that the paths are relative to; or a single file.
        paths: Files, in an order that is always the same; [""] for the root itself.
        progress: Called with files done, and of how many.
        max_bytes: Larger files are not read, because no decoder accepts them.

    Returns:
        SHA-256, in hexadecimal digits.
    """
    memory = _memory(root)
    known = _load(memory)
    kept: dict[str, str] = {}
    whole = hashlib.sha256()
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            entries = pool.map(lambda path: _entry(root / path, known.get(path), max_bytes), block)
            for path, (entry, settled) in zip(block, entries, strict=True):
                whole.update(os.fsencode(path) + b"\0" + entry.rsplit(" ", 1)[-1].encode() + b"\0")
                if settled:
                    kept[path] = entry
            progress("checking files", start + len(block), len(paths))
    if kept != known:
        _save(memory, kept)
    return whole.hexdigest()


def digest_labels(
    content: str, paths: Sequence[str], labels: Sequence[int], classes: Sequence[str]
) -> str:
    """Return the SHA-256 of a digest of the content together with each file's class."""
    digest = hashlib.sha256(content.encode())
    for path, label in zip(paths, labels, strict=True):
        digest.update(b"%b\0%d\0" % (os.fsencode(path), label))
    digest.update("\0".join(classes).encode())
    return digest.hexdigest()


def _entry(path: Path, known: str | None, max_bytes: int | None) -> tuple[str, bool]:
    """Return "facts digest" of a file, and whether that may be believed next time."""
    try:
        facts = path.stat()
    except OSError:
        return "missing", False
    if not S_ISREG(facts.st_mode):
        return "not-a-file", False
    if max_bytes is not None and facts.st_size > max_bytes:
        return "too-large", False
    times = f"{facts.st_mtime_ns}-{facts.st_ctime_ns}"
    stamp = f"{facts.st_size}-{times}-{facts.st_ino}-{facts.st_dev}"
    if known and known.startswith(f"{stamp} ") and _DIGEST.fullmatch(known, len(stamp) + 1):
        return known, True
    age = time.time() - max(facts.st_mtime, facts.st_ctime)
    try:
        return f"{stamp} {_digest(path)}", age > SETTLED_SECONDS
    except OSError:
        return "unreadable", False


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _memory(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return cache_folder() / "digests" / f"{name}.json"


def _load(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    good = isinstance(known, dict) and all(isinstance(entry, str) for entry in known.values())
    return known if good else {}


def _save(memory: Path, kept: dict[str, str]) -> None:
    """Keep the digests; where that cannot be done, they are worked out again next time."""
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(memory, json.dumps(kept).encode())
