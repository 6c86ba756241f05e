"""Renames, and what takes their place where a file system refuses them.

A file system may refuse to rename a file over another one, a folder that is not empty, or anything
at all. Then the old file is moved aside first, as `.replaced-NAME`; the files of a folder are moved
one by one, while a file `.incomplete` in the new folder shows that some may be missing; or a file
is written in place. A crash in between leaves the old content, the new one, or one of these marks.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from iddm_cli.storage import features
from iddm_cli.storage.disk import Disk
from iddm_cli.storage.features import PARTIAL_PREFIX

ASIDE_PREFIX = ".replaced-"
INCOMPLETE = ".incomplete"

MAX_NAME_BYTES = 100
"""Bytes of a name that is kept in a temporary name; eCryptfs allows no more than 143 in all."""

RETRY_SECONDS = (0.05, 0.2)
COPY_BYTES = 2**20


def partial_path(path: Path) -> Path:
    """Return the temporary sibling that this process writes and then renames to `path`."""
    return path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{_shorten(path.name)}")


def list_partials(folder: Path, names: Collection[str]) -> list[Path]:
    """Return the temporary siblings of files of a folder, whichever processes made them."""
    endings = {_shorten(name) for name in names}
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in entries if entry.name.startswith(PARTIAL_PREFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    partials = [(name, name.removeprefix(PARTIAL_PREFIX).partition("-")[2]) for name in found]
    return [folder / name for name, ending in partials if ending in endings]


def aside_path(path: Path) -> Path:
    """Return the sibling that holds the old content of `path` while it is replaced."""
    return path.with_name(f"{ASIDE_PREFIX}{_shorten(path.name)}")


def _shorten(name: str) -> str:
    content = os.fsencode(name)
    return name if len(content) <= MAX_NAME_BYTES else hashlib.sha256(content).hexdigest()[:32]


def find(path: Path) -> Path:
    """Return where the content of `path` is: aside, if a crash interrupted its replacement."""
    aside = aside_path(path)
    return aside if not path.exists() and aside.exists() else path


def is_complete(folder: Path) -> bool:
    """Return whether a folder has all its files: no process was interrupted while moving them."""
    return not (folder / INCOMPLETE).exists()


class UnflushedError(OSError):
    """The disk failed after a file or folder got its name: it is complete, but may be lost."""


def flush_name(disk: Disk, path: Path) -> None:
    """Flush the name of a complete file or folder.

    Raises:
        UnflushedError: The disk failed.
    """
    try:
        flush_folder(disk, path.parent)
    except OSError as error:
        raise UnflushedError(error.errno, error.strerror, str(path)) from error


def flush_folder(disk: Disk, path: Path) -> None:
    """Flush the entries of a folder, where the file system offers that.

    Raises:
        OSError: The disk failed.
    """
    try:
        disk.flush_folder(path)
    except OSError as error:
        if error.errno not in features.NO_FLUSH_FOLDER and not _fails_always(disk, path, error):
            raise
        features.missing.report("flush_folder", path)


def _fails_always(disk: Disk, path: Path, error: OSError) -> bool:
    """Return whether even an empty folder cannot be flushed: WSL answers EIO for SMB shares."""
    if error.errno != errno.EIO:
        return False
    probe = partial_path(path / "flush")
    try:
        disk.make_folder(probe)
    except OSError:
        return False
    try:
        disk.flush_folder(probe)
    except OSError as again:
        return again.errno == errno.EIO
    finally:
        discard(disk, probe)
    return False


def replace_file(disk: Disk, new: Path, path: Path, *, flush: bool = True) -> None:
    """Rename a file, and replace an existing one of that name; flush the folder.

    Raises:
        UnflushedError: The disk failed after the rename.
        OSError: The disk failed; the existing file is unchanged.
    """
    aside = aside_path(path)
    try:
        _rename(disk, new, path, feature="replace")
    except OSError as error:
        if error.errno not in features.NO_RENAME or path.is_dir():
            raise
        _replace_by_steps(disk, new, path, aside)
    if flush:
        flush_name(disk, path)
    if aside.exists():
        discard(disk, aside)


def _replace_by_steps(disk: Disk, new: Path, path: Path, aside: Path) -> None:
    """Move the old file aside before the rename, or write in place if nothing can be renamed."""
    try:
        if path.exists():
            if aside.exists():  # of a crash after it had been replaced
                disk.remove(aside)
            disk.rename(path, aside)
        disk.rename(new, path)
    except OSError as error:
        if not path.exists() and aside.exists():
            with contextlib.suppress(OSError):
                disk.rename(aside, path)
        if error.errno not in features.NO_RENAME:
            raise
        features.missing.report("rename", path.parent)
        _write_in_place(disk, new, path)
    else:
        features.missing.report("replace", path.parent)


def _write_in_place(disk: Disk, new: Path, path: Path) -> None:
    existed = path.exists()
    try:
        _copy_file(disk, new, path)
    except OSError:
        if not existed:
            discard(disk, path)
        raise
    disk.remove(new)


def move_folder(disk: Disk, old: Path, new: Path) -> None:
    """Rename a folder to a name that is free, or that of an empty or incomplete folder.

    Raises:
        FileExistsError: `new` exists.
        OSError: The disk failed.
    """
    try:
        _rename(disk, old, new, feature="rename_folder")
    except OSError as error:
        if _is_taken(new):
            raise FileExistsError(f"{new} exists") from error
        if error.errno not in features.NO_RENAME:
            raise
        if not _rename_over(disk, old, new):
            features.missing.report("rename_folder", new.parent)
            _move_files(disk, old, new)


def _rename_over(disk: Disk, old: Path, new: Path) -> bool:
    """Remove an empty or incomplete folder, if there is one, and rename; return whether it can."""
    if not new.exists():
        return False
    disk.remove(new)
    try:
        disk.rename(old, new)
    except OSError as error:
        if error.errno not in features.NO_RENAME:
            raise
        return False
    return True


def _is_taken(path: Path) -> bool:
    """Return whether a path is something that a folder must not replace."""
    if not path.is_dir():
        return path.exists()
    return is_complete(path) and any(path.iterdir())


def _move_files(disk: Disk, old: Path, new: Path) -> None:
    disk.make_folder(new)
    with _mark_incomplete(disk, new):
        _move_content(disk, old, new)
    flush_folder(disk, new.parent)
    disk.remove(old)


@contextlib.contextmanager
def _mark_incomplete(disk: Disk, folder: Path) -> Iterator[None]:
    """Mark a folder as incomplete until the end; the mark stays if that is not reached."""
    disk.create(folder / INCOMPLETE).close()
    flush_folder(disk, folder)
    yield
    flush_folder(disk, folder)
    disk.remove(folder / INCOMPLETE)
    flush_folder(disk, folder)


def _move_content(disk: Disk, old: Path, new: Path) -> None:
    for entry in sorted(old.iterdir()):
        target = new / entry.name
        if entry.is_dir() and not entry.is_symlink():
            disk.make_folder(target)
            _move_content(disk, entry, target)
            flush_folder(disk, target)
            continue
        try:
            disk.rename(entry, target)
        except OSError as error:
            if error.errno not in features.NO_RENAME:
                raise
            _copy_file(disk, entry, target)


def remove_folder(disk: Disk, path: Path) -> None:
    """Remove a folder; after a crash it is complete, gone, or marked as incomplete.

    Raises:
        OSError: The disk failed; the folder is unchanged, or marked.
    """
    # A name other than that of the replacement, which this process may be writing.
    doomed = partial_path(path.with_name(f"removed-{path.name}"))
    try:
        _rename(disk, path, doomed, feature="rename_folder")
    except OSError as error:
        if error.errno not in features.NO_RENAME:
            raise
        features.missing.report("rename_folder", path.parent)
        with _mark_incomplete(disk, path):
            for entry in path.iterdir():
                if entry.name != INCOMPLETE:
                    disk.remove(entry)
        doomed = path
    # Otherwise a power failure could restore the name, but not the content of the folder.
    flush_folder(disk, path.parent)
    discard(disk, doomed)


def discard(disk: Disk, path: Path) -> None:
    """Remove a file or folder, as far as possible."""
    with contextlib.suppress(OSError):
        disk.remove(path)


def _copy_file(disk: Disk, source: Path, target: Path) -> None:
    with source.open("rb") as reading, disk.create(target) as handle:
        while block := reading.read(COPY_BYTES):
            disk.write(handle, block)
        flush_file(disk, handle, target)


def flush_file(disk: Disk, handle: IO[bytes], path: Path) -> None:
    """Flush the content of a file, where the file system offers that.

    Raises:
        OSError: The disk failed.
    """
    try:
        disk.flush(handle)
    except OSError as error:
        if error.errno not in features.UNSUPPORTED:
            raise
        features.missing.report("flush_file", path.parent)


def _rename(disk: Disk, old: Path, new: Path, *, feature: str) -> None:
    """Rename; wait a moment if a file is in use, unless it is the file system that refuses."""
    waits = () if features.missing.is_known(feature) else RETRY_SECONDS
    for seconds in waits:
        try:
            return disk.rename(old, new)
        except OSError as error:
            if error.errno not in features.IN_USE:
                raise
        time.sleep(seconds)
    disk.rename(old, new)
