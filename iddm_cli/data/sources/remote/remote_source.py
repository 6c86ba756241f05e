"""Remote sources: archives, tar shards and Parquet at a URL, fetched to the cache."""

import itertools
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from iddm_cli.data.sources.archive import open_archive
from iddm_cli.data.sources.indexing.index import ARCHIVE_SUFFIXES
from iddm_cli.data.sources.indexing.labels.class_names import NAME_FILES
from iddm_cli.data.sources.indexing.listing import to_printable
from iddm_cli.data.sources.remote.downloads import fetch_files
from iddm_cli.data.sources.remote.filesystems import RemoteFacts, RemotePlace, open_place
from iddm_cli.data.sources.remote.retries import DEFAULT_POLICY, RetryPolicy, retry
from iddm_cli.data.sources.shards.shard_paths import ShardPaths, expand_braces
from iddm_cli.data.sources.shards.shard_source import PARQUET, TARS, open_shards
from iddm_cli.data.sources.source import Source, SourceOptions
from iddm_cli.errors import DatasetError

THREADS = 16
"""Requests for the facts of files at the same time."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_remote(path: str) -> bool:
    """Return whether a path is a URL, such as s3://bucket/shards."""
    return _URL.match(path) is not None


def open_remote(path: str, options: SourceOptions, policy: RetryPolicy = DEFAULT_POLICY) -> Source:
    """Open a dataset at a remote place; its files are fetched to the cache first.

    Args:
        path: A URL of an archive, of a shard or a folder of shards, or a pattern of shards.
        options: The settings that opening may depend on.
        policy: How often to try again what fails.

    Raises:
        DatasetError: It does not exist or cannot be fetched, or there is no dataset.
        UsageError: A package is missing.
    """
    names = [name.rstrip("/") for name in expand_braces(path)]
    lower = names[0].lower()
    if len(names) == 1 and "*" not in path and lower.endswith(ARCHIVE_SUFFIXES):
        return _open_archive(names[0], options, policy)
    base = _find_base(names)
    place = open_place(base, policy.silence)
    if lower.endswith((*TARS.suffixes, *PARQUET.suffixes)):
        files = _find_named(place, base, names, policy)
    else:
        files = _find_below(place, base, policy)
    form = next((form for form in (PARQUET, TARS) if _select(files, form.suffixes)), None)
    if form is None:
        raise DatasetError(
            f"{path} holds neither tar shards nor Parquet files",
            "Remote images are read from these or from an archive; copy others to a local folder.",
        )
    shards = _select(files, form.suffixes)
    beside = _select(files, NAME_FILES)
    folder = fetch_files(place, base, {**shards, **beside}, policy, options.progress)
    found = ShardPaths(folder, tuple(shards), tuple(beside))
    return open_shards(found, form, options, name=_last_part(path), location=path)


def _open_archive(url: str, options: SourceOptions, policy: RetryPolicy) -> Source:
    base, _, name = url.rpartition("/")
    place = open_place(base, policy.silence)
    files = _find_named(place, base, [url], policy)
    folder = fetch_files(place, base, files, policy, options.progress)
    source = open_archive(str(folder / name), options)
    source.location = to_printable(url)
    return source


def _find_base(names: Sequence[str]) -> str:
    """Return the folder around some files, or the only name where it is a folder."""
    if not names[0].lower().endswith((*TARS.suffixes, *PARQUET.suffixes)):
        return names[0]
    folders = [name.partition("*")[0].rpartition("/")[0].split("/") for name in names]
    same = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    return "/".join(parts[0] for parts in same)


def _find_named(
    place: RemotePlace, base: str, names: Sequence[str], policy: RetryPolicy
) -> dict[str, RemoteFacts]:
    """Return the facts of files that are named, or that a pattern matches, in their order."""

    def ask(name: str) -> dict[str, RemoteFacts]:
        path = f"{place.path}/{name[len(base) + 1 :]}"
        if "*" in name:
            return _relate(place, retry(lambda: place.files.glob(path, detail=True), name, policy))
        info = retry(lambda: place.files.info(path), name, policy)
        return {name[len(base) + 1 :]: RemoteFacts.from_info(info)}

    with ThreadPoolExecutor(THREADS) as pool:
        found = {key: facts for one in pool.map(ask, names) for key, facts in one.items()}
    if not found:
        raise DatasetError(f"{names[0]}: no file has such a name", "Check data.path.")
    return found


def _find_below(place: RemotePlace, base: str, policy: RetryPolicy) -> dict[str, RemoteFacts]:
    """Return the facts of all files below a folder."""
    infos = retry(lambda: place.files.find(place.path, detail=True), base, policy)
    if not infos:
        raise DatasetError(f"{base} does not exist, or is empty", "Check data.path.")
    return _relate(place, infos)


def _relate(
    place: RemotePlace, infos: Mapping[str, Mapping[str, object]]
) -> dict[str, RemoteFacts]:
    """Return the facts of files by their paths below the place, sorted by these."""
    root = place.path.rstrip("/") + "/"
    found = {
        name[len(root) :]: RemoteFacts.from_info(info)
        for name, info in infos.items()
        if info.get("type") == "file" and name.startswith(root)
    }
    safe = {name: facts for name, facts in found.items() if _is_safe(name)}
    return dict(sorted(safe.items(), key=lambda pair: pair[0].encode()))


def _is_safe(name: str) -> bool:
    """Return whether a name stays below the folder that it is stored in, and is not hidden."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not Path(name).is_absolute() and not any(p[0] == "." for p in parts)


def _select(files: Mapping[str, RemoteFacts], suffixes: Sequence[str]) -> dict[str, RemoteFacts]:
    return {name: facts for name, facts in files.items() if name.lower().endswith(tuple(suffixes))}


def _last_part(path: str) -> str:
    return to_printable(path.rstrip("/").rpartition("/")[2])
