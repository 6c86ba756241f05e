"""Durable writes: a file or folder appears completely under its name, or not at all.

Each write goes to a temporary sibling, is flushed to the disk, and is renamed. The parent folder
is flushed as well, since a rename alone may be lost, or may reach the disk before the content.
Nothing old is removed before its replacement is safe on the disk. Where a file system lacks one of
these calls, `storage/` has what takes its place.
"""

import contextlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from iddm_cli.storage import features, moves
from iddm_cli.storage.disk import Disk
from iddm_cli.storage.features import PARTIAL_PREFIX
from iddm_cli.storage.moves import (
    ASIDE_PREFIX,
    INCOMPLETE,
    UnflushedError,
    aside_path,
    find,
    is_complete,
    partial_path,
)

__all__ = [
    "ASIDE_PREFIX",
    "INCOMPLETE",
    "PARTIAL_PREFIX",
    "Disk",
    "LineFile",
    "UnflushedError",
    "create_folder",
    "discard",
    "find",
    "find_leftovers",
    "fsync_file",
    "is_complete",
    "partial_path",
    "publish_file",
    "publish_folder",
    "remove_folder",
    "remove_leftovers",
    "remove_partials",
    "rename_folder",
    "restore",
    "write_file",
    "write_folder",
]

disk = Disk()


def fsync_file(handle: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    handle.flush()
    moves.flush_file(disk, handle, Path(handle.name))


def write_file(path: Path, content: bytes, *, flush: bool = True) -> None:
    """Write a file, and replace an existing one atomically.

    Args:
        path: Path of the file.
        content: Its content.
        flush: Whether to flush it to the disk; without, a power cut may lose it.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged.
    """
    temporary = partial_path(path)

    def write() -> None:
        _write(temporary, content, flush=flush)
        moves.replace_file(disk, temporary, path, flush=flush)

    try:
        try:
            write()
        except FileNotFoundError:  # removed meanwhile, see `remove_leftovers`
            write()
    except OSError:
        discard(temporary)
        raise


def publish_file(temporary: Path, path: Path) -> None:
    """Rename a file, whose content is already flushed, to its final name.

    Raises:
        OSError: The rename failed.
    """
    moves.replace_file(disk, temporary, path)


def create_folder(path: Path) -> None:
    """Create a folder if it does not exist; not its parents, which may be unmounted for a while.

    Raises:
        FileExistsError: Something other than a folder has this name.
        OSError: The folder cannot be created.
    """
    if path.is_dir():
        return
    try:
        disk.make_folder(path)
    except FileExistsError:
        if not path.is_dir():  # no other process has created it meanwhile
            raise
    moves.flush_folder(disk, path.parent)


def write_folder(
    path: Path,
    files: Iterable[tuple[str, bytes]],
    folders: Sequence[str] = (),
    *,
    replace: bool = False,
) -> None:
    """Write a folder with files atomically.

    Args:
        path: Path of the folder.
        files: Path inside the folder and content of each file; consumed one at a time.
        folders: Names of folders inside it, which may contain files.
        replace: Whether to remove an existing folder of this name, once the new one is written.

    Raises:
        FileExistsError: `path` exists and is not empty, and `replace` is off.
        OSError: The folder cannot be written; nothing of it remains.
    """
    temporary = partial_path(path)
    try:
        disk.make_folder(temporary)
        for name in folders:
            disk.make_folder(temporary / name)
        for name, content in files:
            _write(temporary / name, content, flush=True)
        for name in folders:
            moves.flush_folder(disk, temporary / name)
        if replace and path.exists():
            _replace_folder(temporary, path)
        else:
            publish_folder(temporary, path)
        if replace and aside_path(path).exists():  # of an earlier crash
            discard(aside_path(path))
    except OSError:
        discard(temporary)
        raise


def _write(path: Path, content: bytes, *, flush: bool) -> None:
    with disk.create(path) as handle:
        disk.write(handle, content)
        if flush:
            moves.flush_file(disk, handle, path)


def discard(path: Path) -> None:
    """Remove a file or folder, as far as possible."""
    moves.discard(disk, path)


def publish_folder(temporary: Path, final: Path) -> None:
    """Rename a folder, whose files are already flushed, to its final name.

    Raises:
        FileExistsError: `final` exists and is not empty; `temporary` is unchanged.
        OSError: The rename failed.
    """
    moves.flush_folder(disk, temporary)
    moves.move_folder(disk, temporary, final)
    moves.flush_name(disk, final)


def _replace_folder(temporary: Path, path: Path) -> None:
    """Put a folder in the place of another; a crash in between leaves the old one aside."""
    aside = aside_path(path)
    discard(aside)
    moves.move_folder(disk, path, aside)
    try:
        publish_folder(temporary, path)
    except moves.UnflushedError:
        raise
    except OSError:
        with contextlib.suppress(OSError):
            moves.move_folder(disk, aside, path)
        raise


def restore(path: Path) -> None:
    """Give a file or folder its name back, if a crash interrupted its replacement.

    Raises:
        OSError: It cannot be renamed.
    """
    aside = find(path)
    if aside != path and is_complete(aside):
        moves.move_folder(disk, aside, path)


def rename_folder(old: Path, new: Path) -> None:
    """Rename a folder to a name that is free.

    Raises:
        OSError: The folder cannot be renamed, or the name is taken.
    """
    moves.move_folder(disk, old, new)


def remove_folder(path: Path) -> None:
    """Remove a folder atomically: after a crash, it exists completely or not at all.

    Raises:
        OSError: The folder cannot be removed; it is unchanged, or marked as incomplete.
    """
    moves.remove_folder(disk, path)


def remove_partials(folder: Path) -> None:
    """Remove the leftovers of interrupted writes; no process may be writing to `folder`."""
    for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
        discard(leftover)
    for mark in folder.glob(f"*/{INCOMPLETE}"):
        discard(mark.parent)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what killed processes left beside complete files: unfinished ones of the same names.

    Another process may be writing one of them even now: `write_file` then writes it once more, and
    whoever uses `publish_file` has to expect that.

    Args:
        paths: The files; those that do not exist are passed over.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, own in names.items():
        partials = moves.list_partials(folder, own)
        if partials:
            complete = {path.name for path in folder.iterdir()} & own
            for partial in moves.list_partials(folder, complete):
                discard(partial)


def find_leftovers(path: Path) -> list[Path]:
    """Return what this process could not remove after it failed to write `path`."""
    return [left for left in (partial_path(path), aside_path(path)) if left.exists()]


class LineFile:
    """A text file of complete lines, which are appended."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: str) -> None:
        """Append one line without buffering.

        Raises:
            OSError: The line cannot be written; no part of it remains.
        """
        if find(self.path) != self.path:  # a crash interrupted a rewrite
            self.rewrite(self.read_lines())
        handle = self._open()
        if handle is None:
            return self.rewrite([*self.read_lines(), line])
        with handle:
            length = handle.seek(0, io.SEEK_END)
            try:
                disk.write(handle, line.encode() + b"\n")
            except OSError:
                self._cut(handle, length)
                raise

    def _open(self) -> IO[bytes] | None:
        """Open the file at its end; None where the file system cannot."""
        try:
            return disk.append_to(self.path)
        except OSError as error:
            if error.errno not in features.NO_APPEND:
                raise
            features.missing.report("append", self.path.parent)
            return None

    def _cut(self, handle: IO[bytes], length: int) -> None:
        """Remove the beginning of a line, so that the next one does not continue it."""
        try:
            disk.truncate(handle, length)
        except OSError as error:
            if error.errno not in features.UNSUPPORTED:
                raise
            self.rewrite(self.read_lines())

    def flush(self) -> None:
        """Flush the lines to the disk."""
        if handle := self._open():  # otherwise each rewrite has flushed it
            with handle:
                moves.flush_file(disk, handle, self.path)

    def read_lines(self) -> list[str]:
        """Return the complete lines, without one that was cut off by a crash."""
        path = find(self.path)
        if not path.exists():
            return []
        text = io.BytesIO(path.read_bytes())
        return [line[:-1].decode(errors="replace") for line in text if line.endswith(b"\n")]

    def rewrite(self, lines: list[str]) -> None:
        """Replace the content of the file by these lines."""
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode())
