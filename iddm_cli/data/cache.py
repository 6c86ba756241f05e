"""The cache: the only folder outside a run that the program writes to; listing and clearing it.

packs/       datasets as arrays, see packs/store.py
datasets/    built-in datasets as they were downloaded
archives/    decompressed copies of compressed tars, see sources/untar.py
remote/      copies of remote files, see sources/remote/
indices/     which images sharded datasets hold, see sources/shards/
digests/     digests of files that were read before, see sources/fingerprint.py
surveys/     which values the images of a dataset hold, see values/survey.py
evaluations/ what `iddm evaluate` computed: generated images, feature networks, classifiers
compiled/    kernels of compiled networks, one folder for each version of PyTorch
precision/   how close images of a lower precision are, see workflows/sampling/sampling_precision.py
kernels/     which kernels train a network fastest, see engine/kernel_choice.py
"""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from iddm_cli import durable
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.errors import DatasetError, UsageError
from iddm_cli.machine.system_limits import explain_error
from iddm_cli.machine.user_folders import user_cache_folder
from iddm_cli.storage.file_locks import LockHeldError, hold_lock, hold_or_wait

CACHE_HINT = (
    "Set IDDM_CACHE_DIR to a folder on a disk with free space, or free some: iddm cache clear."
)
DAY_SECONDS = 86_400
KEY_LENGTH = 12
ACTIVE_SECONDS = 60
"""A download or archive in progress is written to more often than this."""

ORIGIN = "origin.txt"
"""What a result of an evaluation is about, in a few words."""

MOST_ORIGIN = 1000
_READ_BY_LISTING = (
    ORIGIN,
    "pack.json",
    "labels.i32",
)  # the last two by packs.store.read_record; that does not count as a use

CacheKind = Literal[
    "pack", "partial", "download", "archive", "index", "generated", "features", "classifiers",
    "compiled",
]  # fmt: skip

EvaluationRoom = Literal["generated", "features", "classifiers"]
EVALUATION_ROOMS: tuple[EvaluationRoom, ...] = get_args(EvaluationRoom)
LOCK_SUFFIX = ".lock"
WAITING = "waiting for another process that computes the same"


def cache_folder() -> Path:
    """Return $IDDM_CACHE_DIR if it is set, else the cache folder of the user on this system.

    Raises:
        DatasetError: There is no such folder.
    """
    chosen = os.environ.get("IDDM_CACHE_DIR")
    try:
        return Path(chosen).expanduser() if chosen else user_cache_folder()
    except RuntimeError as error:  # of a user who does not exist
        raise DatasetError(f"IDDM_CACHE_DIR is {chosen}: {error}", CACHE_HINT) from error
    except OSError as error:
        raise DatasetError(
            f"there is no folder for the cache: {error.strerror or error}",
            "Set IDDM_CACHE_DIR to a writable folder.",
        ) from error


def evaluation_folder(room: EvaluationRoom) -> Path:
    """Return the folder of one kind of results of evaluations.

    Raises:
        DatasetError: There is no folder for the cache.
    """
    return cache_folder() / "evaluations" / room


def compiled_folder(version: str) -> Path:
    """Return the folder of the kernels that a version of PyTorch compiles.

    Raises:
        DatasetError: There is no folder for the cache.
    """
    return cache_folder() / "compiled" / f"torch-{version}"


def describe_entry(room: EvaluationRoom, key: str, origin: str) -> Path:
    """Return the folder of a result of an evaluation, in which stands what the result is about.

    Args:
        room: Its kind.
        key: A digest of all that it depends on.
        origin: What it is about, in a few words; not written where the disk has no room.

    Raises:
        DatasetError: There is no folder for the cache.
    """
    folder = evaluation_folder(room) / key
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / ORIGIN).exists():
            content = origin[:MOST_ORIGIN].encode(errors="replace")
            durable.write_file(folder / ORIGIN, content, flush=False)
    return folder


def read_origin(folder: Path) -> str:
    """Return what a result of an evaluation is about; "" where that is unknown."""
    try:
        with (folder / ORIGIN).open("rb") as file:
            return file.read(MOST_ORIGIN).decode(errors="replace")
    except OSError:
        return ""


def cache_error(error: OSError, folder: Path) -> DatasetError:
    """Return the DatasetError for a failed write, with a hint on how to move the cache.

    A limit of the process, as on open files, is reported as that: no other folder has a higher one.
    """
    if explained := explain_error(error):
        return DatasetError(*explained)
    reason = error.strerror or str(error)
    return DatasetError(f"the cache folder {folder} cannot be written: {reason}", CACHE_HINT)


@dataclass(frozen=True)
class CacheEntry:
    """One removable item of the cache: a pack, a download, an index, part of an evaluation."""

    path: Path
    kind: CacheKind
    bytes: int
    used: float  # seconds since 1970

    @property
    def key(self) -> str:
        """Name on the command line: the first letters of a digest, or the name of a download."""
        name = self.path.name.removeprefix(durable.PARTIAL_PREFIX)
        return name if self.kind == "download" else name[:KEY_LENGTH]

    def age_days(self) -> float:
        """Return the number of days since the last use."""
        return (time.time() - self.used) / DAY_SECONDS


def mark_used(path: Path) -> None:
    """Record a use of an item now, because not every file system records access times."""
    with suppress(OSError):
        os.utime(path)


def list_entries() -> list[CacheEntry]:
    """Return the items of the cache, the largest first.

    Raises:
        DatasetError: The cache cannot be read.
    """
    packs = [path for path in _list_children("packs") if path.is_dir() or _is_partial(path)]
    archives = _list_children("archives")
    entries = [
        *(_build_entry(path, "partial" if _is_partial(path) else "pack") for path in packs),
        *(_build_entry(path, "download") for path in _list_children("datasets")),
        *(_build_entry(path, "download") for path in _list_children("remote") if path.is_dir()),
        *(_build_entry(p, "partial" if _is_partial(p) else "archive") for p in archives),
        *(_build_entry(path, "compiled") for path in _list_children("compiled")),
        *(_build_entry(path, "index") for path in _list_children("indices") if path.is_dir()),
        *(
            _build_entry(path, "partial" if _is_partial(path) else room)
            for room in EVALUATION_ROOMS
            for path in _list_children(f"evaluations/{room}")
            if path.suffix != LOCK_SUFFIX
        ),
    ]
    return sorted(filter(None, entries), key=lambda entry: -entry.bytes)


def _is_partial(path: Path) -> bool:
    return path.name.startswith(durable.PARTIAL_PREFIX)


def _list_children(name: str) -> list[Path]:
    folder = cache_folder() / name
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise DatasetError(
            f"the cache {folder} cannot be read: {error.strerror}", CACHE_HINT
        ) from error


def _build_entry(path: Path, kind: CacheKind) -> CacheEntry | None:
    """Return the entry of a path, or None if another process has removed it meanwhile."""
    is_link = path.is_symlink()
    files = [path, *path.rglob("*")] if path.is_dir() and not is_link else [path]
    known = [(file.name, status) for file in files if (status := _lstat(file))]
    used = [
        max(status.st_mtime, status.st_atime if _counts_as_use(name, status) else 0)
        for name, status in known
    ]
    return CacheEntry(path, kind, sum(f.st_size for _, f in known), max(used)) if known else None


def _lstat(file: Path) -> os.stat_result | None:
    try:
        return file.lstat()
    except OSError:
        return None


def _counts_as_use(name: str, status: os.stat_result) -> bool:
    """Return whether the access time of a file is that of a use, and not of a listing."""
    return stat.S_ISREG(status.st_mode) and name not in _READ_BY_LISTING


def select_entries(
    keys: list[str], *, downloads: bool, older_than: int | None = None
) -> list[CacheEntry]:
    """Return the entries of the cache with these keys.

    Args:
        keys: Keys or file names; if empty, all entries are selected.
        downloads: Whether downloads are selected if `keys` is empty.
        older_than: Select only entries that were not used for more than this many days.

    Raises:
        UsageError: No entry has one of the keys.
        DatasetError: The cache cannot be read.
    """
    entries = list_entries()
    if keys:
        selected = _find_by_key(entries, keys)
    else:
        selected = [entry for entry in entries if downloads or entry.kind != "download"]
    if older_than is None:
        return selected
    return [entry for entry in selected if entry.age_days() > older_than]


def _find_by_key(entries: list[CacheEntry], keys: list[str]) -> list[CacheEntry]:
    selected: list[CacheEntry] = []
    for key in keys:
        matching = [entry for entry in entries if key in (entry.key, entry.path.name)]
        if not matching:
            raise UsageError(f"the cache has no entry {key}", "List the entries: iddm cache")
        selected += [entry for entry in matching if entry not in selected]
    return selected


def remove_entries(entries: Iterable[CacheEntry]) -> list[CacheEntry]:
    """Remove entries, except those that another process is writing; return the removed ones.

    A training run that reads a pack continues: its file exists until it is closed.

    Raises:
        DatasetError: An entry cannot be removed.
    """
    removed = [entry for entry in entries if _remove(entry)]
    _remove_orphans()
    return removed


def _remove(entry: CacheEntry) -> bool:
    """Remove one entry and return True, unless another process is writing it."""
    is_active = entry.path.parent.name != "packs" and time.time() - entry.used < ACTIVE_SECONDS
    if entry.kind == "partial" and is_active:
        return False
    try:
        with _try_lock(lock_path(entry.path)) as free:
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
    else:
        doomed = durable.partial_path(path)
        durable.rename_folder(path, doomed)
        durable.disk.remove(doomed)


def lock_path(path: Path) -> Path:
    """Return the lock file that a process holds while it writes an entry, if the entry has one."""
    return path.with_name(f"{path.name.removeprefix(durable.PARTIAL_PREFIX)}{LOCK_SUFFIX}")


@contextmanager
def hold_entry(path: Path, progress: ProgressCallback = no_progress) -> Iterator[None]:
    """Hold the lock of a result of an evaluation, and record its use afterwards.

    While another process makes it, wait for that.

    Where the cache cannot be written, nothing is locked, since nothing will be kept.
    """
    lock = lock_path(path)
    with ExitStack() as stack:
        with suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold_or_wait(lock, lambda: progress(WAITING, 0, 1)))
        yield
        mark_used(path)


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock if it exists; yield False if another process holds it."""
    if not path.exists():
        yield True
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(path, timeout=0))
        except LockHeldError:
            yield False
        else:
            yield True


def _remove_orphans() -> None:
    """Remove locks, digests and surveys that belong to entries which no longer exist."""
    rooms = [cache_folder() / name for name in ("packs", "indices", "remote")]
    rooms += map(evaluation_folder, EVALUATION_ROOMS)
    for path in (lock for room in rooms for lock in room.glob(f"*{LOCK_SUFFIX}")):
        name = path.name.removesuffix(LOCK_SUFFIX)
        with suppress(OSError), _try_lock(path) as free:
            kept = (
                path.with_name(f"{prefix}{name}").exists()
                for prefix in ("", durable.PARTIAL_PREFIX)
            )
            if free and not any(kept):
                path.unlink()
    if not _list_children("packs"):
        for name in ("digests", "surveys"):
            durable.discard(cache_folder() / name)
