"""Durable writes: a file or folder appears completely under its name, or not at all.

Each write goes to a temporary sibling, is flushed to the disk, and is renamed. The parent folder
is flushed as well, since a rename alone may be lost, or may reach the disk before the content.
Nothing old is removed before its replacement is safe on the disk.
"""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

PARTIAL_PREFIX = ".partial-"


class Disk:
    """The system calls that change files; each may fail, or be the last one before a crash.

    Tests replace `disk` by one that fails or exits at a chosen call, or that records what a power
    failure could leave behind.
    """

    def make_folder(self, path: Path) -> None:
        """Create a folder."""
        path.mkdir()

    def create(self, path: Path) -> IO[bytes]:
        """Create an empty file and open it."""
        return path.open("wb", buffering=0)

    def append_to(self, path: Path) -> IO[bytes]:
        """Open a file at its end."""
        return path.open("ab", buffering=0)

    def write(self, handle: IO[bytes], content: bytes) -> None:
        """Write all bytes."""
        rest = memoryview(content)
        while rest:
            rest = rest[handle.write(rest) :]

    def truncate(self, handle: IO[bytes], length: int) -> None:
        """Truncate a file."""
        handle.truncate(length)

    def flush(self, handle: IO[bytes]) -> None:
        """Flush the content of a file to the disk."""
        if sys.platform == "darwin":
            import fcntl

            # On macOS, fsync leaves the data in the cache of the drive.
            fcntl.fcntl(handle.fileno(), fcntl.F_FULLFSYNC)
        else:
            os.fsync(handle.fileno())

    def flush_folder(self, path: Path) -> None:
        """Flush the entries of a folder, where the system can open folders."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file or folder; replace a file of the new name."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with its content."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


disk = Disk()


def partial_path(path: Path) -> Path:
    """Return the temporary sibling that this process writes and then renames to `path`."""
    return path.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{path.name}")


def fsync_file(handle: IO[bytes]) -> None:
    """Flush an open file to the disk."""
    handle.flush()
    disk.flush(handle)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, and replace an existing one atomically.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged.
    """
    temporary = partial_path(path)
    try:
        _write(temporary, content)
        disk.rename(temporary, path)
    except OSError:
        _discard(temporary)
        raise
    disk.flush_folder(path.parent)


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
    disk.flush_folder(path.parent)


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
            _write(temporary / name, content)
        for name in folders:
            disk.flush_folder(temporary / name)
        if replace and path.exists():
            remove_folder(path)
        publish_folder(temporary, path)
    except OSError:
        _discard(temporary)
        raise


def _write(path: Path, content: bytes) -> None:
    with disk.create(path) as handle:
        disk.write(handle, content)
        disk.flush(handle)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        disk.remove(path)


def publish_folder(temporary: Path, final: Path) -> None:
    """Rename a folder, whose files are already flushed, to its final name.

    Raises:
        FileExistsError: `final` exists and is not empty; `temporary` is unchanged.
        OSError: The rename failed.
    """
    disk.flush_folder(temporary)
    try:
        disk.rename(temporary, final)
    except OSError as error:
        if final.exists():
            raise FileExistsError(f"{final} exists") from error
        raise
    disk.flush_folder(final.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder atomically: after a crash, it exists completely or not at all.

    Raises:
        OSError: The folder cannot be renamed; it is unchanged.
    """
    # A name other than that of the replacement, which this process may be writing.
    doomed = partial_path(path.with_name(f"removed-{path.name}"))
    disk.rename(path, doomed)
    # Otherwise a power failure could restore the name, but not the content of the folder.
    disk.flush_folder(path.parent)
    _discard(doomed)


def remove_partials(folder: Path) -> None:
    """Remove the leftovers of interrupted writes; no process may be writing to `folder`."""
    for leftover in folder.glob(f"{PARTIAL_PREFIX}*"):
        _discard(leftover)


class LineFile:
    """A text file of complete lines, which are appended."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: str) -> None:
        """Append one line without buffering.

        Raises:
            OSError: The line cannot be written; no part of it remains.
        """
        with disk.append_to(self.path) as handle:
            length = handle.seek(0, io.SEEK_END)
            try:
                disk.write(handle, line.encode() + b"\n")
            except OSError:
                disk.truncate(handle, length)
                raise

    def flush(self) -> None:
        """Flush the lines to the disk."""
        with disk.append_to(self.path) as handle:
            disk.flush(handle)

    def read_lines(self) -> list[str]:
        """Return the complete lines, without one that was cut off by a crash."""
        if not self.path.exists():
            return []
        text = io.BytesIO(self.path.read_bytes())
        return [line[:-1].decode(errors="replace") for line in text if line.endswith(b"\n")]

    def rewrite(self, lines: list[str]) -> None:
        """Replace the content of the file by these lines."""
        write_file(self.path, "".join(f"{line}\n" for line in lines).encode())
