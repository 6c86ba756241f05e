"""Downloads: remote files in the cache, each whole or not there, continued after a failure.

<cache>/remote/<name>/files/...    the files, by their paths below the place
<cache>/remote/<name>/facts/...    size and version of each, as the server said
<cache>/remote/<name>/origin.txt   the URL of the place
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from iddm_cli import durable
from iddm_cli.data.cache import (
    CACHE_HINT,
    ORIGIN,
    cache_error,
    cache_folder,
    lock_path,
    mark_used,
)
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.remote.filesystems import RemoteFacts, RemotePlace
from iddm_cli.data.sources.remote.retries import RetryPolicy, retry
from iddm_cli.errors import DatasetError
from iddm_cli.storage.file_locks import hold_or_wait
from iddm_cli.storage.space import free_bytes

THREADS = 4
"""Files that are fetched at the same time."""

BLOCK_BYTES = 2**20
RESERVE_BYTES = 2**30
_STRANGE = re.compile(r"[^A-Za-z0-9.]+")


def fetch_files(
    place: RemotePlace,
    url: str,
    files: Mapping[str, RemoteFacts],
    policy: RetryPolicy,
    progress: ProgressCallback = no_progress,
) -> Path:
    """Fetch the files that the cache lacks, or holds in another version; return their folder.

    Args:
        place: The place.
        url: Its URL, the folder around the files.
        files: What the server says of each, by its path below the place.
        policy: How often to try again.
        progress: Called with the number of files that are there.

    Raises:
        DatasetError: A file cannot be fetched, or the cache has no room.
    """
    folder = cache_folder() / "remote" / _name_folder(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.write_file(folder / ORIGIN, url.encode(errors="replace"), flush=False)
        with hold_or_wait(lock_path(folder), lambda: None):
            missing = [path for path, facts in files.items() if not _is_whole(folder, path, facts)]
            if missing:
                _check_room(folder, url, [files[path] for path in missing])
                work = partial(_fetch_file, place, url, folder, policy)
                with ThreadPoolExecutor(THREADS) as pool:
                    fetched = pool.map(work, missing, [files[path] for path in missing])
                    progress("fetching files", len(files) - len(missing), len(files))
                    for done, _ in enumerate(fetched, len(files) - len(missing) + 1):
                        progress("fetching files", done, len(files))
    except OSError as error:
        raise cache_error(error, folder) from error
    mark_used(folder)
    return folder / "files"


def _name_folder(url: str) -> str:
    """Return a name for a place that tells it from all others, and that people recognise."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return f"{_STRANGE.sub('-', url.partition('?')[0])[-60:].strip('-')}-{digest}"


def _is_whole(folder: Path, path: str, facts: RemoteFacts) -> bool:
    """Return whether the cache holds a file, in the version that the server has."""
    file = folder / "files" / path
    if not file.is_file() or _read_facts(folder, path) != facts:
        return False
    return facts.size is None or file.stat().st_size == facts.size


def _read_facts(folder: Path, path: str) -> RemoteFacts | None:
    try:
        return RemoteFacts(**json.loads((folder / "facts" / f"{path}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _check_room(folder: Path, url: str, files: Sequence[RemoteFacts]) -> None:
    needed, free = sum(facts.size or 0 for facts in files), free_bytes(folder)
    if free is not None and needed + RESERVE_BYTES > free:
        raise DatasetError(
            f"{url} takes {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free in {folder}",
            f"{CACHE_HINT} Or name fewer files.",
        )


def _fetch_file(
    place: RemotePlace, url: str, folder: Path, policy: RetryPolicy, path: str, facts: RemoteFacts
) -> None:
    """Fetch one file; what an earlier try has fetched of the same version is continued."""
    file = folder / "files" / path
    begun = durable.partial_path(file)
    begun.parent.mkdir(parents=True, exist_ok=True)
    noted = folder / "facts" / f"{path}.json"
    if not facts.version or _read_facts(folder, path) != facts:
        begun.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        noted.parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(noted, json.dumps(asdict(facts)).encode())
    begun.touch()
    remote = f"{place.path}/{path}" if path else place.path
    retry(
        lambda: _continue(place, remote, begun, facts),
        f"{url}/{path}" if path else url,
        policy,
        lambda: begun.stat().st_size,
    )
    durable.publish_file(begun, file)


def _continue(place: RemotePlace, remote: str, begun: Path, facts: RemoteFacts) -> None:
    """Append what is missing of a file.

    Raises:
        EOFError: The connection ended too early.
    """
    start = begun.stat().st_size
    if facts.size is not None and start > facts.size:
        start = 0
    if start and start == facts.size:
        return
    source, first = place.open_at(remote, start, facts.version)
    with source, begun.open("r+b") as handle:
        handle.truncate(first)
        handle.seek(first)
        done = first
        while block := source.read(BLOCK_BYTES):
            durable.disk.write(handle, block)
            done += len(block)
        durable.fsync_file(handle)
    if facts.size is not None and done != facts.size:
        if done > facts.size:
            with suppress(OSError):
                begun.unlink()
                begun.touch()
        raise EOFError(f"{done:,} of {facts.size:,} bytes arrived")
